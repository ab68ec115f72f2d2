"""The time, told to devices that know none: Roughtime over UDP (RFC 10049), signed for each device's own question.

Answers in batches, one signature for all that came in at once, and never with more bytes than were asked with. Holds a
key that may tell the time for a day; the long-term key, which devices know, is elsewhere.
"""

import asyncio
import socket
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from troth.clock import Clock
from troth.errors import PeerFault
from troth.keys.file import FileKey
from troth.protocols.roughtime.request import REQUEST_BYTES_MAX, Request, parse_request, server_tag
from troth.protocols.roughtime.response import BATCH_MAX, respond

RADIUS_S: Final = 10
"""How far from the true time the machine's clock may be, which is to be kept in step by NTP or the like."""

_Address = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Teller:
    """A key, and the long-term key's word that it may tell the time."""

    key: FileKey = field(repr=False)
    certificate: bytes
    long_term_key: bytes
    """Its public half, raw."""
    ends_at: datetime


class TimeDoor(asyncio.DatagramProtocol):
    """Answers questions by what `tell_by` has given it last; without that, and beyond its end, by nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._teller: Teller | None = None
        self._waiting: list[tuple[Request, _Address]] = []
        self._transport: asyncio.DatagramTransport | None = None

    def tell_by(self, teller: Teller) -> None:
        """Sign with this from now on."""
        self._teller = teller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        """Take a question; what is none gets no answer (section 5.1)."""
        if self._teller is None or len(data) > REQUEST_BYTES_MAX:
            return
        try:
            request = parse_request(data)
        except PeerFault:
            return
        if request.server not in {None, server_tag(self._teller.long_term_key)}:
            return
        if not self._waiting:
            # Whatever else has come by then is signed with it.
            self._loop.call_soon(self._answer)
        self._waiting.append((request, addr))
        if len(self._waiting) == BATCH_MAX:
            self._answer()

    def error_received(self, exc: Exception) -> None:
        """Somebody who asked is not there any more."""

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        now, teller = self._clock.now(), self._teller
        if not waiting or teller is None or self._transport is None or now >= teller.ends_at:
            return
        answers = respond([each for each, _ in waiting], now, RADIUS_S, teller.certificate, teller.key.sign)
        for answer, (_, address) in zip(answers, waiting, strict=True):
            self._transport.sendto(answer, address)


async def serve_time(clock: Clock, listening: socket.socket) -> TimeDoor:
    """Return a door that answers on a bound UDP socket for as long as its event loop runs."""
    loop = asyncio.get_running_loop()
    _, door = await loop.create_datagram_endpoint(lambda: TimeDoor(clock), sock=listening)
    return door
