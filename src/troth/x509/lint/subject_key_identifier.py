"""The subject's key has its identifier, made by the one method."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.algorithms import PublicKey
from troth.x509.building import key_identifier
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.SubjectKeyIdentifier)
    key = case.certificate.public_key()
    if found is None:
        yield "the subject key identifier is missing"
    elif isinstance(key, PublicKey) and found.digest != key_identifier(key):
        yield "the subject key identifier is not that of the key"


SUBJECT_KEY_IDENTIFIER: Final = Rule("subject-key-identifier", "RFC 5280, 4.2.1.2; RFC 7093, 2 (1)", _check)
