"""An RSA modulus is odd and has no small factor: one that has was made by a broken generator.

The bound is that of NIST SP 800-89, 5.3.3, and of CA/Browser Forum practice.
"""

import math
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

from troth.x509.lint.rule import Case, Rule

_FACTOR_MAX: Final = 751
SMALL_PRIMES: Final = math.prod(
    each for each in range(2, _FACTOR_MAX + 1) if all(each % other for other in range(2, math.isqrt(each) + 1))
)


def _check(case: Case) -> Iterator[str]:
    key = case.public_key
    if isinstance(key, rsa.RSAPublicKey) and math.gcd(key.public_numbers().n, SMALL_PRIMES) != 1:
        yield f"the modulus has a factor below {_FACTOR_MAX + 1}"


RSA_MODULUS: Final = Rule("rsa-modulus", "RFC 8017, 3.1", _check)
