"""The reading half of a TLS connection: the peer's bytes in, plaintext out, and what else OpenSSL has to say.

OpenSSL's memory buffers never shrink, so that they are fed in portions. Knows no transport.
"""

from typing import Final

from OpenSSL import SSL

from troth.limits import KIB
from troth.tls.records import RECORD_PLAIN_BYTES_MAX, RecordCounter

FEED_BYTES_MAX: Final = 32 * KIB
"""What goes into OpenSSL at one time."""


class Reader:
    """Reads one connection. After each read, `remark` is what ended it before its time, if anything did.

    `SSL.WantReadError`: a record held no data but, say, a key update that may want an answer. `SSL.ZeroReturnError`:
    the peer's goodbye. Any other error: the stream is broken.
    """

    __slots__ = ("_connection", "_records", "remark")

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection
        self._records = RecordCounter()
        self.remark: SSL.Error | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Give OpenSSL at most `FEED_BYTES_MAX` bytes of the handshake, which it reads by itself."""
        self._records.count(data)
        self._connection.bio_write(data)

    def rest(self) -> bytes:
        """Return the plaintext that the peer sent right behind its handshake."""
        # At most so many records have been fed. That there are no more is no remark.
        plaintext = self._take(FEED_BYTES_MAX)
        if isinstance(self.remark, SSL.WantReadError):
            self.remark = None
        return plaintext

    def read(self, data: bytes) -> bytes:
        """Return the plaintext of all records that are complete with `data`."""
        self.remark = None
        if len(data) <= FEED_BYTES_MAX:
            self._connection.bio_write(data)
            return self._take(self._records.count(data))
        view = memoryview(data)
        parts = []
        for at in range(0, len(data), FEED_BYTES_MAX):
            part = view[at : at + FEED_BYTES_MAX]
            self._connection.bio_write(part)
            parts.append(self._take(self._records.count(part)))
            if self.remark is not None and not isinstance(self.remark, SSL.WantReadError):
                break
        return b"".join(parts)

    def _take(self, records: int) -> bytes:
        connection = self._connection
        parts: list[bytes] = []
        try:
            if records == 1:
                return connection.recv(RECORD_PLAIN_BYTES_MAX)
            for _ in range(records):
                # One by one: what was read before an error counts.
                parts.append(connection.recv(RECORD_PLAIN_BYTES_MAX))
        except SSL.Error as error:
            # Its traceback would hold this reader, and that OpenSSL's memory, for the garbage collector.
            self.remark = error.with_traceback(None)
        return b"".join(parts)
