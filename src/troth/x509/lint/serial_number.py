"""Serial numbers are positive, short enough for every reader, and long enough that nobody guesses the next one.

The lower bound is CA/Browser Forum practice: 64 random bits keep a chosen-prefix collision out of reach.
"""

from collections.abc import Iterator
from typing import Final

from troth.x509.lint.rule import Case, Rule

_OCTETS_MAX: Final = 20
_BITS_MIN: Final = 64


def _check(case: Case) -> Iterator[str]:
    serial = case.certificate.serial_number
    if serial <= 0:
        yield "the serial number is not positive"
    # DER wants a leading zero octet before a set high bit, and it counts.
    elif serial.bit_length() // 8 + 1 > _OCTETS_MAX:
        yield f"the serial number has more than {_OCTETS_MAX} octets"
    elif serial.bit_length() < _BITS_MIN:
        yield f"the serial number has fewer than {_BITS_MIN} bits"


SERIAL_NUMBER: Final = Rule("serial-number", "RFC 5280, 4.1.2.2", _check)
