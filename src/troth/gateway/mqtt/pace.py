"""How fast one connection may go: bytes beyond its pace wait where they are, and messages beyond it are discarded.

As AWS IoT has it ("Message broker and protocol limits and quotas"). There is none of this where no bound is set.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import structlog

from troth.gateway.denials import Denials
from troth.gateway.meter import Meter
from troth.gateway.mqtt.conversation import Conversation
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.refusal import Reason
from troth.limits import Limits
from troth.protocols.mqtt import Packet, Publish
from troth.tls.rates import Bucket

log = structlog.get_logger()


def _loop_time_s() -> float:
    return asyncio.get_running_loop().time()


class Throttle:
    """The bytes of one direction: when more have come within a second than may, no more are read until that is made up.

    What is read at once may be more than there is room for; it counts.
    """

    __slots__ = ("_bucket", "_denials", "_direction", "_is_told", "_meter", "_valve")

    def __init__(self, per_second: int, valve: Valve, meter: Meter, denials: Denials, direction: str) -> None:
        self._bucket = Bucket(per_second)
        self._valve = valve
        self._meter = meter
        self._denials = denials
        self._direction = direction
        self._is_told = False

    def passed(self, count: int) -> None:
        """So many bytes have come."""
        now_s = _loop_time_s()
        self._bucket.spend(count, now_s)
        if self._bucket.is_spent(now_s):
            self._valve.shut(Why.PACE)
            self._meter.paced += 1
            if not self._is_told:
                self._is_told = True
                who = self._denials.who
                log.info(
                    "session.paced",
                    connection=who.connection,
                    peer=who.address,
                    client_id=who.client_id,
                    direction=self._direction,
                )

    def tick(self, now_s: float) -> None:
        """About a second has passed."""
        if not self._bucket.is_spent(now_s):
            self._valve.open(Why.PACE)


def throttle(limits: Limits, valve: Valve, meter: Meter, denials: Denials, direction: str) -> Throttle | None:
    """Return what slows one direction down; None where no bound is set."""
    per_second = limits.throughput_bytes_per_second_max
    return Throttle(per_second, valve, meter, denials, direction) if per_second else None


class Ration:
    """Stands before a conversation and lets through what its messages may be: so many a second, and so large."""

    __slots__ = ("_conversation", "_delivered", "_payload_bytes_max", "_published", "_time_s")

    def __init__(self, conversation: Conversation, limits: Limits, time_s: Callable[[], float] = _loop_time_s) -> None:
        per_second = limits.messages_per_second_max
        self._conversation = conversation
        self._payload_bytes_max = limits.payload_bytes_max or limits.packet_bytes
        self._published = Bucket(per_second) if per_second else None
        self._delivered = Bucket(per_second) if per_second else None
        self._time_s = time_s

    def from_device(self, packets: Iterable[Packet]) -> None:
        """Pass on what may be. Raises `Ended`, also for a payload that is too large."""
        self._conversation.from_device(self._taken(packets))

    def from_broker(self, packets: Iterable[Packet]) -> None:
        """Pass on what may be. Raises `Ended` for what no broker may send."""
        self._conversation.from_broker(self._given(packets))

    def _taken(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        now_s, bucket = self._time_s(), self._published
        for packet in packets:
            if isinstance(packet, Publish):
                size = len(packet.raw) - packet.payload_at
                if size > self._payload_bytes_max:
                    raise Ended(Reason.PACKET_TOO_LARGE, f"a payload of {size} bytes")
                if bucket is not None and not bucket.take(now_s):
                    self._conversation.discard(packet)
                    continue
            yield packet

    def _given(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        now_s, bucket = self._time_s(), self._delivered
        for packet in packets:
            if bucket is not None and isinstance(packet, Publish):
                if packet.qos:
                    # The device's own acknowledgements pace these, and none of them may be lost.
                    bucket.spend(1, now_s)
                elif not bucket.take(now_s):
                    self._conversation.pass_over(packet)
                    continue
            yield packet
