"""The issuer's name is its subject, byte for byte, and not empty."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    name = case.certificate.issuer
    if not list(name):
        yield "the issuer's name is empty"
    if name.public_bytes() != case.issuer.subject.public_bytes():
        yield "the issuer's name is not the subject of the issuer's certificate"


ISSUER_NAME: Final = Rule("issuer-name", "RFC 5280, 4.1.2.4", _check)
