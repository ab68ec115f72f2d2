"""Name constraints stand in a CA's certificate where its profile wants them; below such a CA, names keep to them."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.errors import Fault
from troth.x509.constraints import names_outside
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.NameConstraints)
    wanted = case.profile.ca is not None and case.profile.ca.name_constraints
    if wanted and not (found and found.permitted_subtrees):
        yield f"profile {case.profile.name!r} needs permitted names"
    if found and not wanted:
        yield f"profile {case.profile.name!r} has no name constraints"
    if case.is_self_signed:
        return
    try:
        outside = names_outside(case.certificate, case.issuer)
    except Fault as fault:
        yield fault.message
        return
    for name in outside:
        yield f"the issuer may not certify {str(name.value)[:60]!r}"


NAME_CONSTRAINTS: Final = Rule("name-constraints", "RFC 5280, 4.2.1.10", _check)
