"""Where TLS records end in a stream of bytes (RFC 8446, 5.1), so that OpenSSL is asked only for what is there.

pyOpenSSL says "nothing more to read" by an exception that costs as much as reading a message. Knows nothing of
contents; OpenSSL judges every byte itself, and a wrong count costs a needless question or a late answer, no more.
"""

from typing import Final

RECORD_PLAIN_BYTES_MAX: Final = 16_384
"""Plaintext of one record at most; one read for one record takes this."""
HEADER_BYTES: Final = 5
"""What a record begins with: type, version, and in two bytes the length of what follows."""


class RecordCounter:
    """Counts the records that end in each chunk of one direction of a connection."""

    __slots__ = ("_header", "_missing", "between")

    def __init__(self) -> None:
        self._header = b""
        self._missing = 0
        self.between = True
        """Whether the next byte begins a record."""

    def count(self, data: bytes | memoryview) -> int:
        """Return how many records end in `data`, the bytes that follow those of the previous call."""
        size = len(data)
        ended = 0
        at = 0
        while at < size:
            if not self._missing:
                taken = min(HEADER_BYTES - len(self._header), size - at)
                self._header += bytes(data[at : at + taken])
                at += taken
                if len(self._header) < HEADER_BYTES:
                    break
                self._missing = self._header[3] << 8 | self._header[4]
                self._header = b""
            taken = min(self._missing, size - at)
            at += taken
            self._missing -= taken
            if not self._missing:
                ended += 1
        self.between = not (self._missing or self._header)
        return ended
