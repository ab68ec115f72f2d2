"""The subject's key has its identifier, made by the one method."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.building import key_identifier
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.SubjectKeyIdentifier)
    if found is None:
        yield "the subject key identifier is missing"
    elif case.public_key is not None and found.digest != key_identifier(case.public_key):
        yield "the subject key identifier is not that of the key"


SUBJECT_KEY_IDENTIFIER: Final = Rule("subject-key-identifier", "RFC 5280, 4.2.1.2; RFC 7093, 2 (1)", _check)
