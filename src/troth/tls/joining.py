"""A transport on which what is written in one turn of the event loop goes out at once.

uvicorn writes an answer's head and its body one after the other: over TLS two records, and two calls of the system.
"""

import asyncio
from typing import Final

_HELD_BYTES_MAX: Final = 65_536


class JoiningTransport(asyncio.Transport):
    """Holds what is written until the loop turns, at most `_HELD_BYTES_MAX` of it; the rest is the outer one's."""

    __slots__ = ("_held", "_loop", "_outer", "_size")

    def __init__(self, outer: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._outer = outer
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []
        self._size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` when the loop turns, with what else is written until then."""
        if not data:
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _HELD_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Send what is held now."""
        held, self._held, self._size = self._held, [], 0
        if held:
            self._outer.write(held[0] if len(held) == 1 else b"".join(held))

    def close(self) -> None:
        """Send what is held, then end the connection."""
        self.flush()
        self._outer.close()

    def abort(self) -> None:
        """End the connection now; what is held is lost."""
        self._held.clear()
        self._outer.abort()

    def is_closing(self) -> bool:
        """Tell whether writes are ignored by now."""
        return self._outer.is_closing()

    def pause_reading(self) -> None:
        """Read no more from the peer until `resume_reading`."""
        self._outer.pause_reading()

    def resume_reading(self) -> None:
        """Read from the peer again."""
        self._outer.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return what the outer transport knows."""
        return self._outer.get_extra_info(name, default)
