"""The end of a connection after our last words: closing both directions at once would let a reset destroy them.

Our direction is closed, what still comes is thrown away, and the peer has a while to go (RFC 9112, 9.6, says why for
HTTP). Knows no TLS.
"""

import asyncio

from troth.limits import TLS_LINGER_BYTES_MAX, TLS_LINGER_S


class Lingering:
    """Ends `outer` when the peer talks too much, or has taken nothing of ours for `TLS_LINGER_S` seconds."""

    __slots__ = ("_outer", "_received", "_timer", "_unsent")

    def __init__(self, outer: asyncio.Transport) -> None:
        self._outer = outer
        self._received = 0
        self._unsent = outer.get_write_buffer_size()
        self._timer: asyncio.TimerHandle | None = None
        if outer.is_closing():
            return
        if not outer.is_reading():
            outer.resume_reading()
        outer.write_eof()
        self._wait()

    def received(self, size: int) -> None:
        """Take note of `size` bytes that nobody wants any more."""
        self._received += size
        if self._received > TLS_LINGER_BYTES_MAX:
            self._outer.abort()

    def over(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TLS_LINGER_S, self._waited)

    def _waited(self) -> None:
        unsent = self._outer.get_write_buffer_size()
        if 0 < unsent < self._unsent:
            self._unsent = unsent
            self._wait()
        else:
            self._outer.abort()
