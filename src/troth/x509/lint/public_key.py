"""The subject's key is one that the profile takes."""

from collections.abc import Iterator
from typing import Final

from troth.errors import Fault
from troth.x509.algorithms import algorithm_of
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    if case.algorithm is None:
        try:
            algorithm_of(case.certificate.public_key())
        except Fault as fault:
            yield fault.message
    elif case.algorithm not in case.profile.algorithms:
        yield f"profile {case.profile.name!r} takes no {case.algorithm} key"


PUBLIC_KEY: Final = Rule("public-key", "RFC 5280, 4.1.2.7", _check)
