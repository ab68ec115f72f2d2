"""A CA says so, with its path length; a leaf says that it is none."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.BasicConstraints)
    if found is None:
        yield "the basic constraints are missing"
        return
    ca = case.profile.ca
    if found.ca is not (ca is not None):
        yield "it claims to be a CA" if found.ca else "it does not say that it is a CA"
    elif ca and found.path_length != ca.path_length:
        yield f"the path length is {found.path_length}, not {ca.path_length}"


BASIC_CONSTRAINTS: Final = Rule("basic-constraints", "RFC 5280, 4.2.1.9", _check)
