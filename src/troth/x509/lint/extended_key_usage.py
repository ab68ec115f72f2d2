"""What a certificate may be shown for is what the profile says; a leaf always says it, a root never."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.building import EXTENDED_USES
from troth.x509.certificates import find_extension
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.ExtendedKeyUsage)
    expected = {EXTENDED_USES[use] for use in case.profile.extended_key_usage}
    if case.profile.ca is None and not found:
        yield "a leaf must say what it is for"
    elif set(found or ()) != expected:
        yield f"the extended key usage is not that of profile {case.profile.name!r}"
    bound = None if case.is_self_signed else find_extension(case.issuer, x509.ExtendedKeyUsage)
    if bound is not None and not set(found or ()) <= set(bound):
        yield "it is for a use that its issuer may not certify"


EXTENDED_KEY_USAGE: Final = Rule("extended-key-usage", "RFC 5280, 4.2.1.12", _check)
