"""A certificate is valid for some time, no longer than its profile says, and not beyond its issuer's end."""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    begin, end = case.certificate.not_valid_before_utc, case.certificate.not_valid_after_utc
    if begin >= end:
        yield "it ends before it begins"
    if end - begin > case.profile.validity + case.profile.backdate:
        yield f"it is valid for longer than profile {case.profile.name!r} says"
    if end > case.issuer.not_valid_after_utc:
        yield "it would outlive its issuer"


VALIDITY: Final = Rule("validity", "RFC 5280, 4.1.2.5", _check)
