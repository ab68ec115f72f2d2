"""Serial numbers that carry the CRL shard of their certificate, so that whoever has one knows which CRL tells of it.

16 octets: 0x01, the shard in two octets, 13 that are random. Knows no randomness: callers bring it. RFC 5280, 4.1.2.2.
"""

from typing import Final

from troth.errors import Bug

SHARDS_MAX: Final = 1 << 16
"""Two octets' worth."""
RANDOM_OCTETS: Final = 13

_RANDOM_BITS: Final = 8 * RANDOM_OCTETS
_MARK: Final = 0x01
_MARK_SHIFT: Final = _RANDOM_BITS + 16


def make_serial(shard: int, random: bytes) -> int:
    """Return the serial number of a certificate in `shard`, from 0, with `RANDOM_OCTETS` random octets.

    The leading 0x01 makes it positive, and in DER always 16 octets long. Raises `Bug` for parts that do not fit.
    """
    if not 0 <= shard < SHARDS_MAX or len(random) != RANDOM_OCTETS:
        raise Bug("a serial number is made of a shard of two octets and 13 random octets")
    return _MARK << _MARK_SHIFT | shard << _RANDOM_BITS | int.from_bytes(random, "big")


def shard_of(serial: int) -> int:
    """Return the CRL shard that a serial number carries; 0 for a number that was not made here."""
    if serial >> _MARK_SHIFT != _MARK:
        return 0
    return serial >> _RANDOM_BITS & (SHARDS_MAX - 1)
