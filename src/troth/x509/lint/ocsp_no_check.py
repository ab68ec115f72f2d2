"""Who signs OCSP answers says that nobody need ask for its own status, and nobody else says so."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.OCSPNoCheck)
    if case.profile.is_ocsp_signer and found is None:
        yield "id-pkix-ocsp-nocheck is missing"
    if not case.profile.is_ocsp_signer and found is not None:
        yield "it would never be checked for revocation, and signs no OCSP answers"


OCSP_NO_CHECK: Final = Rule("ocsp-no-check", "RFC 6960, 4.2.2.2.1", _check)
