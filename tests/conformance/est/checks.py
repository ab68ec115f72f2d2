"""Every check, in the order in which they are performed."""

from typing import Final

from tests.conformance.est import (
    cacerts_checks,
    enrolling_checks,
    http_checks,
    keygen_checks,
    linking_checks,
    proof_checks,
    refusal_checks,
    renewing_checks,
    tls_checks,
)
from tests.conformance.est.checking import Check

CHECKS: Final[tuple[Check, ...]] = tuple(
    found
    for module in (
        tls_checks,
        http_checks,
        cacerts_checks,
        proof_checks,
        enrolling_checks,
        refusal_checks,
        linking_checks,
        renewing_checks,
        keygen_checks,
    )
    for found in vars(module).values()
    if isinstance(found, Check)
)
