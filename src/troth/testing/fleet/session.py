"""One MQTT connection at the simulated home: the real codec, the real admission and policy; the broker is a list.

What the gateway adds beside those is proven where it is: here counts who is let in, and what has arrived.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from troth.gateway.admission import Admitted
from troth.gateway.grants import Peer
from troth.gateway.refusal import Reason, Refusal
from troth.limits import DEFAULT
from troth.policy.actions import Action
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Reader,
    Role,
    render,
)
from troth.testing.fleet.home import Home, HomeDown


class Line:
    """Both ways of a connection in memory: to the device an `asyncio.StreamWriter`."""

    def __init__(self, reader: asyncio.StreamReader, is_lost: Callable[[], bool]) -> None:
        self._reader, self._is_lost = reader, is_lost
        self.on_data: Callable[[bytes], None] = lambda data: None
        self.on_pass: Callable[[bytes], None] = lambda data: None
        self.is_open = True
        self.transport: Any = self

    # The device's end.

    def write(self, data: bytes) -> None:
        """Send to the home."""
        self.on_pass(data)
        if self.is_open and self._is_lost():
            self.fail(ConnectionResetError("lost on the way"))
        elif self.is_open:
            self.on_data(data)

    async def drain(self) -> None:
        """Wait for nothing."""

    async def wait_closed(self) -> None:
        """Wait for nothing."""

    def abort(self) -> None:
        """End it."""
        self.is_open = False

    # The home's end.

    def answer(self, packet: Packet) -> None:
        """Send to the device."""
        data = render(packet)
        self.on_pass(data)
        if self.is_open and self._is_lost():
            self.fail(ConnectionResetError("lost on the way"))
        elif self.is_open:
            self._reader.feed_data(data)

    def end(self) -> None:
        """Close, in order."""
        if self.is_open:
            self.is_open = False
            self._reader.feed_eof()

    def fail(self, error: Exception) -> None:
        """Break it."""
        if self.is_open:
            self.is_open = False
            self._reader.set_exception(error)


class Session:
    """One connection from its CONNECT to its end."""

    def __init__(self, home: Home, line: Line, peer: Peer, caller: str, digest: str) -> None:
        """`caller` is who has really connected, whatever it shows; `digest` is that of the key."""
        self.peer, self.caller, self.digest = peer, caller, digest
        self.admitted: Admitted | None = None
        self.refused: Refusal | None = None
        self.on_admitted: Callable[[], None] = lambda: None
        self.on_publish: Callable[[Publish], None] = lambda message: None
        self._home, self._line = home, line
        self._reader = Reader(DEFAULT.packet_bytes, Role.SERVER)

    def receive(self, data: bytes) -> None:
        """Take what the device has sent."""
        for packet in self._reader.feed(data):
            try:
                self._take(packet)
            except HomeDown:
                self._line.fail(ConnectionResetError("the home has died"))
                return

    def drop(self) -> None:
        """End it as a home does that ends."""
        self._line.fail(ConnectionResetError("the home has gone"))

    def _take(self, packet: Packet) -> None:
        match packet:
            case Connect():
                self._connect(packet)
            case Publish() if self.admitted is not None:
                self._publish(packet, self.admitted)
            case Pingreq():
                self._line.answer(Pingresp())
            case Disconnect():
                self._line.end()
            case _:
                self._line.end()

    def _connect(self, connect: Connect) -> None:
        try:
            self.admitted = self._home.admit(self.peer, connect)
        except Refusal as refusal:
            self.refused = refusal
            unknown = refusal.reason is Reason.STATE_UNKNOWN
            code = ConnackCode.SERVER_UNAVAILABLE if unknown else ConnackCode.NOT_AUTHORIZED
            self._line.answer(Connack(session_present=False, code=code))
            self._line.end()
            return
        self.on_admitted()
        self._line.answer(Connack(session_present=False, code=ConnackCode.ACCEPTED))

    def _publish(self, message: Publish, admitted: Admitted) -> None:
        self._home.require_alive()
        if not admitted.grant.decide(Action.PUBLISH, message.topic).allowed:
            self._line.end()
            return
        self.on_publish(message)
        if message.qos:
            self._line.answer(Puback(message.packet_id))
