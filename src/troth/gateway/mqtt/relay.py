"""The bytes of an admitted session, both ways: what comes in is decided, and what comes of it goes in one write.

Slows one side down while the other reads too slowly, so that what waits is bounded. Knows no states and no wire format.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from troth.gateway.denials import Denials
from troth.gateway.meter import Meter
from troth.gateway.mqtt.conversation import Conversation
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.pace import Ration, throttle
from troth.gateway.mqtt.upstream import KEEP_ALIVE_S_MIN, Link
from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.refusal import Reason
from troth.limits import KIB, Limits
from troth.policy.engine import Grant
from troth.protocols.mqtt import Packet

PATIENCE: Final = 1.5
"""How many keep-alives a device may be silent [MQTT-3.1.2-24]."""
READ_BYTES: Final = 256 * KIB
"""What the event loop takes from a socket at once, at most."""

Ending = tuple[Reason, str]
"""Why a session must end, and a detail for the log."""


class Relay:
    """Between the device's transport and the link to the broker.

    What takes packets or time returns why the session must end, if it must.
    """

    __slots__ = (
        "_decider",
        "_exchange",
        "_heard",
        "_intake",
        "_link_quiet_at_s",
        "_link_used",
        "_meter",
        "_outflow",
        "_patience_s",
        "_silent_at_s",
        "_slow_since_s",
        "_supply",
        "_transport",
        "_waiting_bytes_max",
        "link",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        intake: Valve,
        link: Link,
        exchange: Conversation,
        keep_alive_s: int,
        limits: Limits,
        meter: Meter,
        denials: Denials,
    ) -> None:
        """`intake` is how `transport` is read from."""
        self._transport = transport
        self._intake = intake
        self._exchange = exchange
        is_rationed = limits.messages_per_second_max or limits.payload_bytes_max
        self._decider = Ration(exchange, limits) if is_rationed else exchange
        self.link = link
        # Another link may take the place of this one.
        self._supply = Valve(self)
        self._outflow = throttle(limits, self._supply, meter, denials, "to-device")
        # One read of the link may come on top of what waits; beyond that, it is the device's own asking that adds up.
        self._waiting_bytes_max = limits.write_queue_bytes_max + max(limits.write_queue_bytes_max, READ_BYTES)
        self._patience_s = keep_alive_s * PATIENCE
        self._heard = True
        self._silent_at_s = 0.0
        self._link_used = True
        self._link_quiet_at_s = 0.0
        self._slow_since_s: float | None = None
        self._meter = meter

    def from_device(self, packets: list[Packet]) -> Ending | None:
        """Take what the device sent."""
        self._heard = True
        ending = self._pass(self._decider.from_device, packets)
        if self._slow_since_s is not None and self._transport.get_write_buffer_size() > self._waiting_bytes_max:
            return ending or (Reason.SLOW_READER, "it asks and does not read")
        return ending

    def from_broker(self, packets: list[Packet]) -> Ending | None:
        """Take what the broker sent."""
        ending = self._pass(self._decider.from_broker, packets)
        if self._exchange.held_back_bytes > self._waiting_bytes_max:
            return ending or (Reason.SLOW_READER, "it is sent much and acknowledges little")
        return ending

    def answer(self, topic: str, payload: bytes) -> None:
        """Give the device a message of the gateway's own, on its own connection."""
        self._exchange.answer(topic, payload)
        self._send()

    def regrant(self, grant: Grant) -> None:
        """Decide by `grant` from now on."""
        self._exchange.regrant(grant)
        self._send()

    def device_slow(self, since_s: float | None) -> None:
        """The device takes no more since `since_s`: nothing is taken for it from the broker. None: it has caught up."""
        self._slow_since_s = since_s
        if since_s is None:
            self._supply.open(Why.OTHER_SIDE)
        else:
            self._supply.shut(Why.OTHER_SIDE)

    def pause_reading(self) -> None:
        """Take no more from the broker until `resume_reading`."""
        self.link.pause_reading()

    def resume_reading(self) -> None:
        """Take from the broker again."""
        self.link.resume_reading()

    def broker_slow(self, slow: bool) -> None:
        """The broker takes no more: nothing is taken for it from the device."""
        if slow:
            self._intake.shut(Why.OTHER_SIDE)
        else:
            self._intake.open(Why.OTHER_SIDE)

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here for either side."""
        return self._transport.get_write_buffer_size() + self.link.waiting_bytes + self._exchange.held_back_bytes

    def tick(self, now_s: float) -> Ending | None:
        """About a second has passed: find what is dead, and keep the broker from taking the living for dead."""
        if self._outflow is not None:
            self._outflow.tick(now_s)
        if self._heard or self._intake.is_shut:
            self._heard = False
            self._silent_at_s = now_s + self._patience_s
        if now_s >= self._silent_at_s:
            return Reason.KEEP_ALIVE, ""
        if self._slow_since_s is not None and now_s - self._slow_since_s > self._patience_s:
            return Reason.SLOW_READER, ""
        if self._link_used:
            self._link_used = False
            self._link_quiet_at_s = now_s + max(self._patience_s, KEEP_ALIVE_S_MIN) / 2
        elif now_s >= self._link_quiet_at_s:
            # The device is there, and all that it sent ended here.
            self._exchange.ping()
            self._send()
        return None

    def _pass(self, decide: Callable[[list[Packet]], None], packets: list[Packet]) -> Ending | None:
        ending = None
        try:
            decide(packets)
        except Ended as ended:
            # Not the exception itself: with its traceback it would hold on to this frame, and that on to it.
            ending = ended.reason, ended.detail
        self._send()
        return ending

    def _send(self) -> None:
        out = self._exchange.to_broker
        if out:
            self.link.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
            self._link_used = True
        out = self._exchange.to_device
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            self._meter.sent_bytes += len(data)
            self._transport.write(data)
            out.clear()
            if self._outflow is not None:
                self._outflow.passed(len(data))
