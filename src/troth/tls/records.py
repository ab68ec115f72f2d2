"""Where TLS records end in a stream of bytes (RFC 8446, 5.1), so that OpenSSL is asked only for what is there.

pyOpenSSL says "nothing more to read" by an exception that costs as much as reading a message. Knows nothing of
contents; OpenSSL judges every byte itself, and a wrong count costs a needless question or a late answer, no more.
"""

from typing import Final

RECORD_PLAIN_BYTES_MAX: Final = 16_384
"""Plaintext of one record at most; one read for one record takes this."""
_HEADER_BYTES: Final = 5


class RecordCounter:
    """Counts the records that end in each chunk of one direction of a connection."""

    __slots__ = ("_header", "_missing")

    def __init__(self) -> None:
        self._header = b""
        self._missing = 0

    def count(self, data: bytes | memoryview) -> int:
        """Return how many records end in `data`, the bytes that follow those of the previous call."""
        size = len(data)
        at_start = not self._missing and not self._header
        if at_start and size > _HEADER_BYTES and size == _HEADER_BYTES + (data[3] << 8 | data[4]):
            # The usual case by far: one message, one record, one read.
            return 1
        return self._walk(data, size)

    def _walk(self, data: bytes | memoryview, size: int) -> int:
        ended = 0
        at = 0
        while at < size:
            if not self._missing:
                taken = min(_HEADER_BYTES - len(self._header), size - at)
                self._header += bytes(data[at : at + taken])
                at += taken
                if len(self._header) < _HEADER_BYTES:
                    break
                self._missing = self._header[3] << 8 | self._header[4]
                self._header = b""
            taken = min(self._missing, size - at)
            at += taken
            self._missing -= taken
            if not self._missing:
                ended += 1
        return ended
