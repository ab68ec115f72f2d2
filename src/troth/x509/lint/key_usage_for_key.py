"""A key is for nothing that its kind cannot do: only RSA wraps keys, only NIST curves agree on one."""

from collections.abc import Iterator
from typing import Final

from cryptography import x509

from troth.x509.algorithms import CURVES, RSA_BITS
from troth.x509.lint.rule import Case, Rule


def _check(case: Case) -> Iterator[str]:
    found = case.find(x509.KeyUsage)
    if found is None or case.algorithm is None:
        return
    if (found.key_encipherment or found.data_encipherment) and case.algorithm not in RSA_BITS:
        yield f"an {case.algorithm} key does not encipher"
    if found.key_agreement and case.algorithm not in CURVES:
        yield f"an {case.algorithm} key does not agree on a key"


KEY_USAGE_FOR_KEY: Final = Rule("key-usage-for-key", "RFC 8813, 3; RFC 9295, 3; RFC 9881, 5; RFC 3279, 2.3.1", _check)
