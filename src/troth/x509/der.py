"""DER by hand (X.690), where bytes are to be repeated as they came, made by the thousand, or read against every rule.

Knows lengths and tags, and no meaning. What reading costs is bounded by the bytes given: nothing recurses.
"""

from datetime import UTC, datetime
from typing import Final

from troth.errors import Bug, Kind, PeerFault

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

_LENGTH_OCTETS_MAX: Final = 4
_MANY_OCTETS_TAG: Final = 0x1F


def primitive(number: int) -> int:
    """Return the tag octet of a context-specific primitive value, as IMPLICIT tags make them."""
    return 0x80 | number


def constructed(number: int) -> int:
    """Return the tag octet of a context-specific constructed value, as EXPLICIT tags make them."""
    return 0xA0 | number


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one value: the tag octet, the length, the parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def integer(value: int) -> bytes:
    """Return an INTEGER."""
    octets = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(INTEGER, value.to_bytes(octets, "big", signed=True))


def generalized_time(at: datetime) -> bytes:
    """Return a GeneralizedTime in whole seconds, cut off, UTC (RFC 5280, 4.1.2.5.2). Raises `Bug` for a naive time."""
    if at.tzinfo is None:
        raise Bug("a time without its zone is no time")
    at = at.astimezone(UTC)
    # strftime leaves out the leading zeros of years before 1000.
    return tlv(GENERALIZED_TIME, f"{at.year:04}{at:%m%d%H%M%S}Z".encode())


def utc_time(at: datetime) -> bytes:
    """Return a UTCTime in whole seconds, cut off (RFC 5280, 4.1.2.5.1): years 1950 to 2049. Raises `Bug` for others."""
    if at.tzinfo is None or not 1950 <= at.astimezone(UTC).year < 2050:
        raise Bug("a UTCTime has a zone and a year from 1950 to 2049")
    return tlv(UTC_TIME, f"{at.astimezone(UTC):%y%m%d%H%M%S}Z".encode())


class Reader:
    """Reads one value after the other. Raises `PeerFault` (malformed) on what is not DER, or not what is expected."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def tag(self) -> int | None:
        """The tag octet of the next value; None at the end."""
        return self._data[self._at] if self._at < len(self._data) else None

    def content(self, tag: int) -> bytes:
        """Take the next value, which must have this tag, and return what is in it."""
        start, end = self._bounds(tag)
        self._at = end
        return self._data[start:end]

    def whole(self, tag: int) -> bytes:
        """Take the next value, which must have this tag, and return it with tag and length."""
        begin = self._at
        self._at = self._bounds(tag)[1]
        return self._data[begin : self._at]

    def inside(self, tag: int) -> "Reader":
        """Take the next value, which must have this tag, and return a reader of what is in it."""
        return Reader(self.content(tag))

    def any(self) -> tuple[int, bytes]:
        """Take the next value, whatever it is, and return its tag and what is in it."""
        tag = self._next()
        return tag, self.content(tag)

    def skip(self) -> None:
        """Take the next value, whatever it is."""
        self._at = self._bounds(self._next())[1]

    def integer(self) -> int:
        """Take an INTEGER."""
        octets = self.content(INTEGER)
        if not octets or (len(octets) > 1 and octets[0] in (0x00, 0xFF) and (octets[0] ^ octets[1]) & 0x80 == 0):
            raise _malformed("an integer is not in its shortest form")
        return int.from_bytes(octets, "big", signed=True)

    def boolean(self) -> bool:
        """Take a BOOLEAN. One that is false is taken too where DER would leave the default out."""
        octets = self.content(BOOLEAN)
        if octets not in (b"\x00", b"\xff"):
            raise _malformed("a boolean is neither true nor false")
        return octets == b"\xff"

    def finish(self) -> None:
        """Refuse what is left."""
        if self._at != len(self._data):
            raise _malformed("there are bytes behind the end")

    def _next(self) -> int:
        tag = self.tag
        if tag is None:
            raise _malformed("it ends too early")
        return tag

    def _bounds(self, tag: int) -> tuple[int, int]:
        data, at = self._data, self._at
        if self._next() != tag or tag & _MANY_OCTETS_TAG == _MANY_OCTETS_TAG:
            raise _malformed(f"tag {self._next():#04x} is not what belongs here")
        if at + 1 >= len(data):
            raise _malformed("it ends too early")
        size, start = data[at + 1], at + 2
        if size >= 0x80:
            count = size & 0x7F
            octets = data[start : start + count]
            if not 1 <= count <= _LENGTH_OCTETS_MAX or len(octets) < count:
                raise _malformed("a length cannot be read")
            size, start = int.from_bytes(octets, "big"), start + count
            if size < 0x80 or octets[0] == 0:
                raise _malformed("a length is not in its shortest form")
        if size > len(data) - start:
            raise _malformed("it ends too early")
        return start, start + size


def _malformed(detail: str) -> PeerFault:
    return PeerFault(Kind.MALFORMED, "the bytes are not the DER expected", detail=detail)
