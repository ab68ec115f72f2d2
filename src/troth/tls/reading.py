"""The reading half of a TLS connection: the peer's bytes in, plaintext out, and what else OpenSSL has to say.

OpenSSL's memory buffers never shrink, so that they are fed in portions. Knows no transport.
"""

from typing import Final

from OpenSSL import SSL

from troth.limits import KIB
from troth.tls.engine import Engine
from troth.tls.records import HEADER_BYTES, RecordCounter

FEED_BYTES_MAX: Final = 32 * KIB
"""What goes into OpenSSL at one time."""


class Reader:
    """Reads one connection. After each read, `remark` is what ended it before its time, if anything did.

    `SSL.WantReadError`: a record held no data but, say, a key update that may want an answer. `SSL.ZeroReturnError`:
    the peer's goodbye. Any other error: the stream is broken.
    """

    __slots__ = ("_connection", "_engine", "_records", "remark")

    def __init__(self, connection: SSL.Connection, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._records = RecordCounter()
        self.remark: SSL.Error | None = None

    def feed(self, data: bytes) -> None:
        """Give OpenSSL at most `FEED_BYTES_MAX` bytes of the handshake, which it reads by itself."""
        self._engine.put(self._connection, data)

    def rest(self) -> bytes:
        """Return the plaintext that the peer sent right behind its handshake."""
        # A handshake ends with a record, and OpenSSL reads no further than it must.
        behind = self._engine.unread(self._connection)
        return self._take(self._records.count(behind)) if behind else b""

    def read(self, data: bytes) -> bytes:
        """Return the plaintext of all records that are complete with `data`."""
        self.remark = None
        size = len(data)
        begins = self._records.between and HEADER_BYTES < size <= FEED_BYTES_MAX
        if begins and size == HEADER_BYTES + (data[3] << 8 | data[4]):
            # The usual case by far: one message, one record, one read.
            try:
                return self._engine.open(self._connection, data)
            except SSL.Error as error:
                self.remark = error.with_traceback(None)
                return b""
        if size <= FEED_BYTES_MAX:
            self._engine.put(self._connection, data)
            return self._take(self._records.count(data))
        parts = []
        for at in range(0, size, FEED_BYTES_MAX):
            part = data[at : at + FEED_BYTES_MAX]
            self._engine.put(self._connection, part)
            parts.append(self._take(self._records.count(part)))
            if self.remark is not None and not isinstance(self.remark, SSL.WantReadError):
                break
        return b"".join(parts)

    def _take(self, records: int) -> bytes:
        connection, engine = self._connection, self._engine
        parts: list[bytes] = []
        try:
            if records == 1:
                return engine.read(connection)
            for _ in range(records):
                # One by one: what was read before an error counts.
                parts.append(engine.read(connection))
        except SSL.Error as error:
            # Its traceback would hold this reader, and that OpenSSL's memory, for the garbage collector.
            self.remark = error.with_traceback(None)
        return b"".join(parts)
