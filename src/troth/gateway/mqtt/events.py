"""What the gateway itself tells consumers, on `$aws/events/...`: over one connection of its own to the broker.

`publish` takes note and returns at once, in the worker's loop; nobody ever waits for the broker. Messages go at QoS 1
and again until the broker has them, also after it was gone, so that one may come twice. What waits is bounded: the
oldest is dropped first, counted and logged. Knows no sessions, and decides nothing: who may read is policy's.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog

from troth.errors import Fault, Kind
from troth.gateway.mqtt.names import EVENTS, Names
from troth.gateway.mqtt.upstream import KEEP_ALIVE_S_MIN, Link, Upstream
from troth.keys.randomness import random_id
from troth.limits import EVENTS_WAITING_MAX, UPSTREAM_WAIT_S_MAX
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    StreamFault,
    build_publish,
    render,
)

CLIENT_ID: Final = "troth-events-"
"""How the client id begins that the broker sees; no session has one like it."""
GATHER_S: Final = 0.05
"""How long what is to be told waits for more that goes in the same write."""
RETRY_S: Final = 0.5
"""How long to wait before a broker that did not answer is asked again."""
_PING_S: Final = KEEP_ALIVE_S_MIN / 2
_UNDER_WAY_MAX: Final = 64
"""Messages that the broker has been sent and has not acknowledged."""
_PACKET_IDS: Final = 65_535

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    payload: bytes


class Events:
    """The events of one worker: `run` sends them, and everybody else calls `publish`."""

    def __init__(self, upstream: Upstream, names: Names) -> None:
        self._upstream = upstream
        self._names = names
        self._waiting: deque[_Message] = deque()
        self._under_way: dict[int, _Message] = {}
        self._packet_id = 0
        self._link: Link | None = None
        self._accepted = False
        self._is_waking = False
        self._answered = True
        self._changed = asyncio.Event()
        self._fault: str | None = None
        self._untold = 0
        self.lost = 0
        """How many messages were dropped since the start."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Have a message sent to a topic below `EVENTS`, to which no device can publish. Returns at once.

        One whose topic the broker cannot carry is lost, and so is the oldest above `EVENTS_WAITING_MAX`.
        """
        assert topic.startswith(EVENTS), "devices could say the same"
        if self._names.filter_problem(topic) is not None:
            self._lose()
            return
        self._waiting.append(_Message(topic, payload))
        if len(self._waiting) > EVENTS_WAITING_MAX:
            self._waiting.popleft()
            self._lose()
        self._wake()

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection and has not closed it."""
        return self._accepted

    async def run(self) -> None:
        """Hold the connection to the broker, without end."""
        while True:
            try:
                await self._serve()
            except Fault as fault:
                self._tell(fault)
            finally:
                if self._link is not None:
                    self._link.write(render(Disconnect()))
                self._part()
            await asyncio.sleep(RETRY_S)

    async def close(self, within_s: float) -> None:
        """Wait up to `within_s` seconds until the broker has everything, while `run` still runs."""
        try:
            async with asyncio.timeout(within_s):
                while self._waiting or self._under_way:
                    await self._change()
        except TimeoutError:
            self._lose(len(self._waiting) + len(self._under_way))
        self.tick()

    def tick(self) -> None:
        """About a second has passed: tell what was lost in it."""
        if self._untold:
            log.warning("events.dropped", count=self._untold)
            self._untold = 0

    # What the link tells.

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Take what the broker sent."""
        for packet in packets:
            if isinstance(packet, Puback):
                self._under_way.pop(packet.packet_id, None)
            elif isinstance(packet, Connack):
                self._accepted = packet.code is ConnackCode.ACCEPTED
                if not self._accepted:
                    self.broker_gone()
        self._answered = True
        self._changed.set()
        if fault is not None:
            self.broker_gone()
        self._wake()

    def broker_slow(self, slow: bool) -> None:
        """Nothing: so little is under way at once that it may wait."""

    def broker_gone(self) -> None:
        """The broker has closed, or is not to be talked to."""
        self._part()
        self._changed.set()

    # How it is sent.

    async def _serve(self) -> None:
        connect = Connect(CLIENT_ID + random_id())
        link = self._link = self._upstream.prepare(self, connect, connect.client_id, KEEP_ALIVE_S_MIN)
        try:
            async with asyncio.timeout(UPSTREAM_WAIT_S_MAX):
                await self._upstream.dial(link)
                while self._link is link and not self._accepted:
                    await self._change()
        except TimeoutError as error:
            raise Fault(Kind.UNAVAILABLE, "the broker does not answer") from error
        if self._link is link and self._fault is not None:
            log.info("events.sent_again")
            self._fault = None
        while self._link is link:
            await self._watch(link)
        raise Fault(Kind.UNAVAILABLE, "the broker has closed the connection for events")

    async def _watch(self, link: Link) -> None:
        """See for some time that the broker is there."""
        try:
            async with asyncio.timeout(_PING_S):
                while self._link is link:
                    await self._change()
        except TimeoutError as error:
            if not self._answered:
                raise Fault(Kind.UNAVAILABLE, "the broker has fallen silent") from error
            self._answered = False
            link.write(render(Pingreq()))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        """Send what waits, all in one write: soon, and at once where it is as much as the broker is sent."""
        if len(self._waiting) >= _UNDER_WAY_MAX:
            self._send()
        elif self._waiting and self._accepted and not self._is_waking:
            # A fleet that connects: a write and an answer for each would cost as much again as the events do.
            self._is_waking = True
            asyncio.get_running_loop().call_later(GATHER_S, self._awake)

    def _awake(self) -> None:
        self._is_waking = False
        self._send()

    def _send(self) -> None:
        if self._link is None or not self._accepted:
            return
        out = []
        while self._waiting and len(self._under_way) < _UNDER_WAY_MAX:
            message = self._waiting.popleft()
            packet_id = self._next_packet_id()
            self._under_way[packet_id] = message
            out.append(build_publish(message.topic, message.payload, qos=1, packet_id=packet_id).raw)
        if out:
            self._link.write(b"".join(out))

    def _next_packet_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % _PACKET_IDS + 1
            if self._packet_id not in self._under_way:
                return self._packet_id

    def _part(self) -> None:
        """Let the connection go; what was under way waits again, before everything else."""
        link, self._link, self._accepted = self._link, None, False
        if link is not None:
            link.close()
        self._waiting.extendleft(reversed(self._under_way.values()))
        self._under_way.clear()
        while len(self._waiting) > EVENTS_WAITING_MAX:
            self._waiting.popleft()
            self._lose()

    def _lose(self, count: int = 1) -> None:
        self.lost += count
        self._untold += count

    def _tell(self, fault: Fault) -> None:
        # Once for each trouble, however often it is tried.
        if self._fault != fault.message:
            self._fault = fault.message
            log.warning("events.waiting", reason=fault.message, detail=fault.detail)
