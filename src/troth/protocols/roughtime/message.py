"""Roughtime's messages: maps from tags to byte strings, and the packets that carry them. RFC 10049, sections 4 and 5.

Every number is written with its least significant byte first.
"""

import struct
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from troth.errors import Bug, Kind, PeerFault

MAGIC: Final = b"ROUGHTIM"
HEADER_BYTES: Final = 12
"""Of a packet: the magic and the length of the message."""
PAIRS_MAX: Final = 32
"""Of one message; version 1 needs seven at most, and others are to be ignored."""
WORD: Final = 4
"""Bytes of a number, a tag, and what every value's length is a multiple of."""

_TAG_CHARS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def parse_message(data: bytes) -> dict[str, bytes]:
    """Read a message, and nothing behind it. The caller bounds `data`. Raises `PeerFault` (malformed)."""
    count = number(data[:WORD])
    values_at = 2 * WORD * count
    if not 1 <= count <= PAIRS_MAX or len(data) < values_at or len(data) % WORD:
        raise _malformed("a header that cannot be")
    offsets = struct.unpack(f"<{count - 1}I", data[WORD : WORD * count])
    bounds = (0, *offsets, len(data) - values_at)
    if any(second < first or second % WORD for first, second in pairwise(bounds)):
        raise _malformed("offsets that do not rise, or not by whole words")
    words = [data[at : at + WORD] for at in range(WORD * count, values_at, WORD)]
    if any(number(second) <= number(first) for first, second in pairwise(words)):
        raise _malformed("tags out of order, or one twice")
    spans = pairwise(bounds)
    return {
        _tag(word): data[values_at + start : values_at + end] for word, (start, end) in zip(words, spans, strict=True)
    }


def render_message(values: Mapping[str, bytes]) -> bytes:
    """Return the message that says this. Raises `Bug` for a value that is not made of whole words."""
    words = sorted((tag.encode().ljust(WORD, b"\0"), value) for tag, value in values.items())
    words.sort(key=lambda pair: number(pair[0]))
    ends, end = [], 0
    for _, value in words:
        if len(value) % WORD:
            raise Bug("a value in Roughtime is made of whole words")
        end += len(value)
        ends.append(end)
    header = struct.pack(f"<{len(words)}I", len(words), *ends[:-1])
    return b"".join((header, *(word for word, _ in words), *(value for _, value in words)))


def parse_packet(data: bytes) -> dict[str, bytes]:
    """Read the message in one packet. Raises `PeerFault` (malformed)."""
    if data[: len(MAGIC)] != MAGIC or number(data[len(MAGIC) : HEADER_BYTES]) != len(data) - HEADER_BYTES:
        raise _malformed("no packet, or not a whole one")
    return parse_message(data[HEADER_BYTES:])


def render_packet(message: bytes) -> bytes:
    """Return the packet that carries a message."""
    return b"".join((MAGIC, word(len(message)), message))


def number(data: bytes) -> int:
    """Read a number of as many bytes as there are."""
    return int.from_bytes(data, "little")


def word(value: int) -> bytes:
    """Write a number of 32 bits."""
    return struct.pack("<I", value)


def value_of(message: Mapping[str, bytes], tag: str, size: int | None = None) -> bytes:
    """Return a value that must be there, and have `size` bytes where that is given. Raises `PeerFault` (malformed)."""
    found = message.get(tag)
    if found is None or (size is not None and len(found) != size):
        raise _malformed(f"no {tag}, or one of another length")
    return found


def versions_of(message: Mapping[str, bytes], tag: str) -> tuple[int, ...]:
    """Return a list of versions: at least one, at most 32, rising. Raises `PeerFault` (malformed). Section 5.1.1."""
    data = value_of(message, tag)
    found = struct.unpack(f"<{len(data) // WORD}I", data)
    if not 1 <= len(found) <= 32 or any(second <= first for first, second in pairwise(found)):
        raise _malformed(f"{tag} is not a list of versions")
    return found


def _tag(data: bytes) -> str:
    letters = data.rstrip(b"\0")
    if not letters or not _TAG_CHARS.issuperset(letters):
        raise _malformed("a tag that is none")
    return letters.decode("ascii")


def _malformed(what: str) -> PeerFault:
    return PeerFault(Kind.MALFORMED, f"not Roughtime: {what}")
