"""Extensions need version 3."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    if case.certificate.version is not x509.Version.v3:
        yield f"the version is {case.certificate.version.name}, not v3"


VERSION: Final = Rule("version", "RFC 5280, 4.1.2.1", _check)
