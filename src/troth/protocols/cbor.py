"""CBOR, as much of it as flat messages need: whole numbers, text and maps of text to these. Deterministic when written.

RFC 8949; section 4.2.1 for what is written. Byte strings, arrays, tags, floats, simple values and indefinite lengths
are refused, so that all that can be read is read in bounded time and memory. Knows no message.
"""

from collections.abc import Mapping
from typing import Final

from troth.errors import Bug, Kind, PeerFault

Value = int | str | Mapping[str, "Value"]
"""What this subset can say."""

DEPTH_MAX: Final = 4
"""Maps within maps."""
_UNSIGNED, _NEGATIVE, _TEXT, _MAP = 0, 1, 3, 5
_SIZES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
"""Additional information -> bytes of the argument that follow (section 3)."""
_DIRECT: Final = 24
_WHOLE_MAX: Final = (1 << 64) - 1


def parse_cbor(data: bytes) -> Value:
    """Read one data item, and nothing behind it. The caller bounds `data`.

    Arguments may be longer than they need to be (section 3.1). Raises `PeerFault` (malformed, unsupported).
    """
    item, end = _item(data, 0, DEPTH_MAX)
    if end != len(data):
        raise PeerFault(Kind.MALFORMED, "there is more behind the CBOR item")
    return item


def render_cbor(value: Value) -> bytes:
    """Return `value` in the one deterministic encoding: shortest arguments, keys in the order of their bytes.

    Raises `Bug` for a number beyond 64 bits.
    """
    match value:
        case int():
            return _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
        case str():
            raw = value.encode()
            return _head(_TEXT, len(raw)) + raw
        case _:
            pairs = sorted((render_cbor(key), render_cbor(each)) for key, each in value.items())
            return _head(_MAP, len(pairs)) + b"".join(key + each for key, each in pairs)


def _item(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    major, argument, at = _argument(data, at)
    match major:
        case 0:
            return argument, at
        case 1:
            return -1 - argument, at
        case 3:
            return _text(data, at, argument)
        case 5:
            return _map(data, at, argument, depth)
    raise PeerFault(Kind.UNSUPPORTED, f"CBOR of major type {major} has no place here", hint="send maps and text")


def _argument(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, argument and where it ends."""
    if at >= len(data):
        raise _cut()
    major, low = data[at] >> 5, data[at] & 0x1F
    at += 1
    if low < _DIRECT:
        return major, low, at
    size = _SIZES.get(low)
    if size is None:
        raise PeerFault(Kind.UNSUPPORTED, "CBOR of indefinite length is not read here", hint="send definite lengths")
    if at + size > len(data):
        raise _cut()
    return major, int.from_bytes(data[at : at + size]), at + size


def _text(data: bytes, at: int, size: int) -> tuple[str, int]:
    if size > len(data) - at:
        raise _cut()
    try:
        return data[at : at + size].decode(), at + size
    except UnicodeDecodeError as error:
        raise PeerFault(Kind.MALFORMED, "a CBOR text is not UTF-8") from error


def _map(data: bytes, at: int, pairs: int, depth: int) -> tuple[dict[str, Value], int]:
    if depth == 0:
        raise PeerFault(Kind.TOO_LARGE, f"CBOR maps lie more than {DEPTH_MAX} deep")
    # Each pair takes two bytes at least: no count makes us wait for what is not there.
    if pairs > (len(data) - at) // 2:
        raise _cut()
    found: dict[str, Value] = {}
    for _ in range(pairs):
        key, at = _item(data, at, 0)
        if not isinstance(key, str):
            raise PeerFault(Kind.MALFORMED, "a key of a CBOR map is not text")
        if key in found:
            raise PeerFault(Kind.MALFORMED, f"{key[:40]!r} stands twice in a CBOR map")
        found[key], at = _item(data, at, depth - 1)
    return found, at


def _cut() -> PeerFault:
    return PeerFault(Kind.MALFORMED, "the CBOR item ends too early")


def _head(major: int, argument: int) -> bytes:
    if argument < _DIRECT:
        return bytes((major << 5 | argument,))
    for low, size in _SIZES.items():
        if argument < 1 << 8 * size:
            return bytes((major << 5 | low,)) + argument.to_bytes(size)
    raise Bug(f"CBOR has whole numbers up to {_WHOLE_MAX}")
