"""The key may do what the profile says and nothing else; only a CA's signs certificates."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.building import key_usage
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.KeyUsage)
    if found is None:
        yield "the key usage is missing"
        return
    if found != key_usage(case.profile):
        yield f"the key usage is not that of profile {case.profile.name!r}"
    constraints = case.find(x509.BasicConstraints)
    if found.key_cert_sign and not (constraints and constraints.ca):
        yield "its key may sign certificates and it is no CA"


KEY_USAGE: Final = Rule("key-usage", "RFC 5280, 4.2.1.3", _check)
