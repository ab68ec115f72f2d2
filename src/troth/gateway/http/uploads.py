"""Bodies of requests as they come in, within the memory that all connections of a worker may hold together.

Beyond it no more is read of who has sent more than a little, and who has held it longest is told to come again. Knows
neither what a body is nor how that is answered.
"""

import asyncio
from collections.abc import AsyncIterable
from typing import Final

from troth.errors import Kind, PeerFault
from troth.gateway.mqtt.flight import Flight

_HELD: Final = "the memory for requests is used up"


class _Upload:
    """One body in a flight."""

    def __init__(self, ends: asyncio.Timeout) -> None:
        self._ends = ends
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def room(self) -> None:
        """Wait until more may be read."""
        await self._has_room.wait()

    def hold_breath(self) -> None:
        """Take no more for now."""
        self._has_room.clear()

    def breathe(self) -> None:
        """Take more again."""
        self._has_room.set()

    def let_go(self) -> None:
        """Give it up: others need the room."""
        self._ends.reschedule(asyncio.get_running_loop().time())


async def read_body(chunks: AsyncIterable[bytes], bytes_max: int, flight: Flight) -> bytes:
    """Return a body. Raises `PeerFault`: too large as soon as that is known, unavailable when it must make room."""
    body = bytearray()
    try:
        async with asyncio.timeout(None) as ends:
            upload = _Upload(ends)
            try:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > bytes_max:
                        raise PeerFault(Kind.TOO_LARGE, f"a message may have {bytes_max} bytes")
                    flight.note(upload, len(body))
                    await upload.room()
            finally:
                flight.note(upload, 0)
    except TimeoutError as error:
        raise PeerFault(Kind.UNAVAILABLE, _HELD) from error
    return bytes(body)
