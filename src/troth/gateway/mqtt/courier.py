"""One message to the broker, or one look at what it retains, on somebody's behalf: over a link for that alone.

For doors that hold no MQTT session. Decides nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault, Kind
from troth.gateway.mqtt.envelope import escaped, is_expired, is_sealed, open_envelope
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.upstream import KEEP_ALIVE_S_MIN, Link, Upstream
from troth.keys.randomness import random_id
from troth.limits import UPSTREAM_WAIT_S_MAX
from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    StreamFault,
    Suback,
    Subscribe,
    Subscription,
    build_publish,
    render,
)

CLIENT_ID: Final = "troth-data-"
"""How the client id begins that the broker sees; no session has one like it."""
RETAINED_WAIT_S: Final = 0.5
"""How long after a broker has answered a ping, behind the subscription, a message may still come that it retains."""
_PACKET_ID: Final = 1


class Courier:
    """Goes to one broker. Raises `Fault` (unavailable) when that does not answer in time."""

    def __init__(self, upstream: Upstream, terms: Terms) -> None:
        self._upstream = upstream
        self._terms = terms

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Give the broker a message; with QoS 1 it has it when this returns.

        Raises `Fault` (rejected) for what looks like an envelope where there are none.
        """
        passed = escaped(payload)
        if passed is not payload and not self._terms.envelopes:
            raise Fault(Kind.REJECTED, "the payload ends in what only gateways write")
        packet_id = _PACKET_ID if qos else 0
        message = build_publish(topic, passed, qos=qos, retain=retain, packet_id=packet_id)
        async with self._visit() as visit:
            visit.link.write(message.raw)
            if qos:
                await visit.next(Puback)

    async def find_retained(self, topic: str) -> Publish | None:
        """Return the message that the broker retains for a topic without wildcards; None when there is none."""
        async with self._visit() as visit:
            visit.link.write(render(Subscribe(_PACKET_ID, (Subscription(topic, 1),))))
            suback = await visit.next(Suback)
            assert isinstance(suback, Suback)
            if suback.codes == (SUBSCRIPTION_REFUSED,):
                raise Fault(Kind.UNAVAILABLE, "the broker does not let us look")
            visit.link.write(render(Pingreq()))
            try:
                # What is retained comes in the same order as the answer, or, from some, a little later.
                found = await visit.next(Publish, Pingresp)
                if isinstance(found, Pingresp):
                    async with asyncio.timeout(RETAINED_WAIT_S):
                        found = await visit.next(Publish)
            except TimeoutError:
                return None
            assert isinstance(found, Publish)
            return self._opened(found) if found.retain and found.topic == topic else None

    def _opened(self, found: Publish) -> Publish | None:
        """Return a message as a device would be given it; None for one that has expired."""
        if not (self._terms.envelopes and is_sealed(found)):
            return found
        content = open_envelope(found)
        if is_expired(content, self._terms.clock):
            return None
        return build_publish(found.topic, content.payload, qos=found.qos, retain=True, packet_id=found.packet_id)

    @asynccontextmanager
    async def _visit(self) -> AsyncIterator["_Visit"]:
        visit = _Visit()
        connect = Connect(CLIENT_ID + random_id())
        visit.link = self._upstream.prepare(visit, connect, connect.client_id, KEEP_ALIVE_S_MIN)
        try:
            async with asyncio.timeout(UPSTREAM_WAIT_S_MAX):
                await self._upstream.dial(visit.link)
                answer = await visit.next(Connack)
                if not isinstance(answer, Connack) or answer.code:
                    raise Fault(Kind.UNAVAILABLE, "the broker does not let us in")
                yield visit
        except TimeoutError as error:
            raise Fault(Kind.UNAVAILABLE, "the broker does not answer in time") from error
        finally:
            visit.link.write(render(Disconnect()))
            visit.link.close()


@dataclass(init=False, slots=True)
class _Visit:
    """What a link says, packet by packet."""

    link: Link
    _packets: deque[Packet]
    _changed: asyncio.Event
    _is_over: bool

    def __init__(self) -> None:
        self._packets = deque()
        self._changed = asyncio.Event()
        self._is_over = False

    async def next(self, *kinds: type[Packet]) -> Packet:
        """Return the next packet of one of these kinds; others are passed over. Raises `Fault` (unavailable)."""
        while True:
            while self._packets:
                packet = self._packets.popleft()
                if isinstance(packet, kinds):
                    return packet
            if self._is_over:
                raise Fault(Kind.UNAVAILABLE, "the broker has closed the connection")
            self._changed.clear()
            await self._changed.wait()

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Take what the broker sent."""
        self._packets.extend(packets)
        self._is_over = self._is_over or fault is not None
        self._changed.set()

    def broker_slow(self, slow: bool) -> None:
        """Nothing: one message is all that is said."""

    def broker_gone(self) -> None:
        """The broker has closed."""
        self._is_over = True
        self._changed.set()
