"""The plaintext end of a TLS connection, as the `asyncio.Transport` that an inner protocol writes to.

Encrypts on the spot and hands the records to the outer transport at once: nothing is buffered here, so the outer
transport's write buffer, limits and pauses are this one's.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from OpenSSL import SSL

from troth.tls.engine import Engine
from troth.tls.peer import PeerTLS
from troth.tls.records import RECORD_PLAIN_BYTES_MAX


class Owner(Protocol):
    """The protocol that drives the connection; it is told what its inner side asks for."""

    def close(self) -> None:
        """Say goodbye and end the connection."""
        ...

    def abort(self) -> None:
        """End the connection without a word."""
        ...

    def fail(self, error: Exception) -> None:
        """End the connection because OpenSSL can go on no further."""
        ...


class TLSTransport(asyncio.Transport):
    """Made by `troth.tls.protocol.TLSProtocol` when a handshake has succeeded.

    `get_extra_info` knows ``tls`` (`PeerTLS`) beside all that the outer transport knows (``peername``, ``sockname``).
    """

    __slots__ = ("_closing", "_connection", "_engine", "_outer", "_owner", "_peer")

    def __init__(
        self, owner: Owner, outer: asyncio.Transport, connection: SSL.Connection, engine: Engine, peer: PeerTLS
    ) -> None:
        super().__init__()
        self._engine = engine
        self._owner = owner
        self._outer = outer
        self._connection = connection
        self._peer = peer
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send `data`; ignored when the connection is closing, as by asyncio's own transports."""
        if self._closing or not data:
            return
        if len(data) > RECORD_PLAIN_BYTES_MAX or not isinstance(data, bytes):
            self._write_in_records(memoryview(data).cast("B"))
            return
        try:
            record = self._engine.seal(self._connection, data)
        except SSL.Error as error:
            self._owner.fail(error)
            return
        self._outer.write(record)

    def _write_in_records(self, data: memoryview) -> None:
        # Record by record, because OpenSSL's memory buffers never shrink again.
        records = []
        try:
            for start in range(0, len(data), RECORD_PLAIN_BYTES_MAX):
                part = bytes(data[start : start + RECORD_PLAIN_BYTES_MAX])
                records.append(self._engine.seal(self._connection, part))
        except SSL.Error as error:
            self._owner.fail(error)
            return
        self._outer.write(b"".join(records))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send all of `list_of_data` in as few records as possible."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Send what is written and a close_notify, then end the connection."""
        if not self._closing:
            self._closing = True
            self._owner.close()

    def abort(self) -> None:
        """End the connection now; what is not yet sent is lost."""
        self._closing = True
        self._owner.abort()

    def ended(self) -> None:
        """Take note that the connection is at its end from the outside."""
        self._closing = True

    def is_closing(self) -> bool:
        """Tell whether writes are ignored by now."""
        return self._closing

    def can_write_eof(self) -> bool:
        """Half-closing on our side is not offered: `close` ends both directions."""
        return False

    def is_reading(self) -> bool:
        """Tell whether the inner protocol is given what arrives."""
        return not self._closing and self._outer.is_reading()

    def pause_reading(self) -> None:
        """Read no more from the peer, so that it is slowed down, until `resume_reading`."""
        if not self._closing:
            self._outer.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        if not self._closing:
            self._outer.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return the bytes, encrypted, that the peer's system has not yet taken."""
        return self._outer.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and high marks, in encrypted bytes."""
        return self._outer.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which the inner protocol's writing is paused and resumed, in encrypted bytes."""
        self._outer.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return ``tls``, or what the outer transport knows."""
        return self._peer if name == "tls" else self._outer.get_extra_info(name, default)
