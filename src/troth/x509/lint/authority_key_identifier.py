"""The issuer's key is named by the identifier in the issuer's own certificate; one that signs itself needs none."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.certificates import find_extension
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.AuthorityKeyIdentifier)
    if found is None:
        if not case.is_self_signed:
            yield "the authority key identifier is missing"
        return
    own = find_extension(case.issuer, x509.SubjectKeyIdentifier)
    if own is None or found.key_identifier != own.digest:
        yield "the authority key identifier is not that of the issuer's key"


AUTHORITY_KEY_IDENTIFIER: Final = Rule("authority-key-identifier", "RFC 5280, 4.2.1.1", _check)
