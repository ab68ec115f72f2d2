"""The signature is by the issuer's kind of key and over a sound hash."""

from collections.abc import Iterator
from typing import Final

from troth.errors import Fault
from troth.x509.algorithms import algorithm_of, signature_identifier
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    try:
        expected = signature_identifier(algorithm_of(case.issuer.public_key()))
    except Fault as fault:
        yield f"the issuer's key is not taken: {fault.message}"
        return
    if case.parts.inner_algorithm != case.parts.outer_algorithm:
        yield "the algorithm inside is not the one beside the signature"
    if case.parts.inner_algorithm != expected:
        yield "the signature algorithm is not that of the issuer's key"


SIGNATURE_ALGORITHM: Final = Rule("signature-algorithm", "RFC 5280, 4.1.1.2 and 4.1.2.3", _check)
