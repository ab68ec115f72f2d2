"""Looks for a private key as a thief would who has the device's account, and nothing but its certificate.

P-256, in files and in the memory of a process (Linux, proc(5)): as PEM, as DER (RFC 5915, RFC 5958), and as the bare
number in either byte order where memory is aligned for it. A snapshot: what a process has for an instant only, and
what is stored encrypted, is not found.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from troth.errors import Fault, Kind
from troth.limits import KIB

_SCALAR_BYTES: Final = 32
_WORD_BYTES: Final = 8
_PIECE_BYTES: Final = 1024 * KIB
_OVERLAP_BYTES: Final = 4 * KIB
"""So much of one piece is looked at again with the next: longer than any P-256 key's PEM."""
_PEM: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----([A-Za-z0-9+/=\s]{32,2048})-----END")
_OCTETS: Final = re.compile(rb"(?s)\x04\x20(?=(.{32}))")
"""An OCTET STRING of 32 bytes, as both of the DER forms have the number in."""
_BYTES_MIN: Final = 24
_DIGITS_MIN: Final = 10
_PAIRS_MIN: Final = 30


@dataclass(frozen=True, slots=True)
class Found:
    """A private key that was found."""

    where: str
    """The file, or whose memory."""
    form: str
    """``PEM``, ``DER``, ``number`` or ``number, least byte first``."""
    key: ec.EllipticCurvePrivateKey


class KeySearch:
    """The search for the private half of one key."""

    def __init__(self, public: object) -> None:
        """Take its public half. Raises `Fault` (unsupported) for what is not P-256."""
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise Fault(Kind.UNSUPPORTED, "only a P-256 key can be looked for")
        self._public = public.public_numbers()
        self._tried: set[tuple[bytes, str]] = set()

    def in_files(self, folder: Path) -> Found | None:
        """Look into every file below `folder`. Raises `OSError`."""
        files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
        return next((found for file in files if (found := self.in_bytes(file.read_bytes(), str(file)))), None)

    def in_memory(self, process: int) -> Found | None:
        """Look into all that process `process` may write. Raises `OSError` where that may not be read, or has gone."""
        where = f"memory of process {process}"
        pieces = _memory(process)
        return next((found for piece in pieces if (found := self.in_bytes(piece, where))), None)

    def in_bytes(self, data: bytes, where: str) -> Found | None:
        """Look into `data`, which comes from `where`."""
        for form, candidate in _candidates(data):
            if (candidate, form) not in self._tried:
                self._tried.add((candidate, form))
                key = self._match(candidate)
                if key is not None:
                    return Found(where, form, key)
        return None

    def _match(self, candidate: bytes) -> ec.EllipticCurvePrivateKey | None:
        try:
            key = ec.derive_private_key(int.from_bytes(candidate), ec.SECP256R1())
        except ValueError:
            return None  # zero, or beyond the order of the group
        return key if key.public_key().public_numbers() == self._public else None


def _memory(process: int) -> Iterator[bytes]:
    """Give all writable memory, in pieces that begin at whole words. Raises `OSError` if none of it can be read."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            place, end = (int(each, 16) for each in span.split("-"))
            while place < end:
                memory.seek(place)
                try:
                    yield memory.read(min(_PIECE_BYTES, end - place))
                except OSError:
                    break  # given back since the list was made, or a device's
                place += _PIECE_BYTES - _OVERLAP_BYTES


def _candidates(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Give what may be the number, most significant byte first, and the form that it was found in."""
    for text in _PEM.finditer(data):
        try:
            der = base64.b64decode(text[1])
        except ValueError:
            continue
        yield from (("PEM", octets[1]) for octets in _OCTETS.finditer(der))
    yield from (("DER", octets[1]) for octets in _OCTETS.finditer(data))
    for window in _windows(data):
        if _looks_random(window):
            yield "number, least byte first", window[::-1]
            yield "number", window


def _windows(data: bytes) -> Iterator[bytes]:
    """Give each four words in a row of which none is a small number, a pointer or nothing."""
    words = memoryview(data)[: len(data) - len(data) % _WORD_BYTES].cast("Q")
    row = 0
    for place, word in enumerate(words):
        row = row + 1 if word >> 48 else 0
        if row >= _SCALAR_BYTES // _WORD_BYTES:
            end = (place + 1) * _WORD_BYTES
            yield data[end - _SCALAR_BYTES : end]


def _looks_random(window: bytes) -> bool:
    """Say whether this may be the number; of 10,000 random ones 3 are taken for something else.

    Counted are different bytes, pairs of bytes, and first and second hexadecimal digits: in text, code and tables they
    come again.
    """
    return (
        not window.isascii()
        and len(set(window)) >= _BYTES_MIN
        and len({byte >> 4 for byte in window}) >= _DIGITS_MIN
        and len({byte & 15 for byte in window}) >= _DIGITS_MIN
        and len(set(pairwise(window))) >= _PAIRS_MIN
    )
