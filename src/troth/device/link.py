"""One MQTT 3.1.1 connection of a device on an event loop: QoS 0 and 1, many messages in flight, over mutual TLS.

Waits by the loop's own time, which no clock changes. Knows no queue and no renewal; see `connector`. Bytes are the
business of `troth.protocols.mqtt`. Source: OASIS MQTT 3.1.1.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from troth.device.connack import Refused
from troth.device.connection import ConnectionFault
from troth.device.endpoint import Address
from troth.device.identity import Identity
from troth.device.network import INTERNET, Network
from troth.errors import Fault, Kind, OurFault, PeerFault
from troth.limits import DEFAULT, DEVICE_INBOX_MESSAGES_MAX, DEVICE_LINGER_S_MAX, DEVICE_STEP_S_MAX
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
    StreamFault,
    Suback,
    Subscribe,
    Subscription,
    build_publish,
    render,
)
from troth.tls import client as tls

_READ_BYTES: Final = 16 * 1024
_PACKET_IDS: Final = 0xFFFF

Wants = Callable[[str], bool]
"""Says whether messages of a topic are wanted; those that are not are acknowledged and dropped."""


class Link:
    """A connection that is open until `ended`. Made by `open_link`.

    Every method may raise the `Fault` that ended it: `ConnectionFault` (the server closed, by an alert or without),
    unavailable (no answer in time), `PeerFault` (what came is no MQTT).
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address, wants: Wants
    ) -> None:
        self._stream, self._writer, self._address = reader, writer, address
        self._mqtt = Reader(DEFAULT.packet_bytes, Role.CLIENT)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[type[Packet], int], asyncio.Future[Packet]] = {}
        self._wants = wants
        self._inbox: deque[Publish] = deque()
        self._came = asyncio.Event()
        self._packet_id = 0
        self._heard = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []
        self._end: asyncio.Future[Fault] = self._loop.create_future()
        self.session_present = False

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self._end.done()

    async def ended(self) -> Fault:
        """Wait for the end and return what it was."""
        return await asyncio.shield(self._end)

    async def open(self, request: Connect) -> None:
        """Send CONNECT and begin. Raises `Refused` besides."""
        self._tasks.append(asyncio.create_task(self._listen()))
        answer = await self._ask(request, Connack, 0)
        assert isinstance(answer, Connack)  # that is what was asked for
        if answer.code is not ConnackCode.ACCEPTED:
            raise self._finish(Refused(ConnackCode(answer.code)))
        self.session_present = answer.session_present
        if request.keep_alive_s:
            self._tasks.append(asyncio.create_task(self._keep_alive(request.keep_alive_s)))

    def send(self, topic: str, payload: bytes, *, retain: bool = False, again: bool = False) -> asyncio.Future[Packet]:
        """Send a message with QoS 1 and return what is done when the server has taken it over.

        `again` says that it may have been sent before.
        """
        packet_id = self._next_packet_id()
        answer = self._expect(Puback, packet_id)
        self._write(build_publish(topic, payload, qos=1, retain=retain, packet_id=packet_id, dup=again))
        return answer

    async def acknowledged(self, sent: asyncio.Future[Packet]) -> None:
        """Wait until the server has taken over what `send` has sent."""
        await self._in_time(sent, "PUBACK")

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send a message; at QoS 1 return when the server has taken it over."""
        if qos not in {0, 1}:
            raise OurFault(Kind.UNSUPPORTED, "this client sends with QoS 0 or 1")
        if qos:
            await self.acknowledged(self.send(topic, payload, retain=retain))
        else:
            self._write(build_publish(topic, payload, qos=0, retain=retain))
        await self.flushed()

    async def flushed(self) -> None:
        """Wait until the network has taken what was sent, so that no memory fills up."""
        try:
            async with asyncio.timeout(DEVICE_STEP_S_MAX):
                await self._writer.drain()
        except TimeoutError:
            raise self._finish(ConnectionFault(self._address, tls.Refusal("timeout", "it takes nothing"))) from None
        except OSError as error:
            raise self._finish(ConnectionFault(self._address, tls.refusal(error))) from error

    async def subscribe(self, filters: Sequence[str], *, qos: int = 1) -> tuple[int, ...]:
        """Ask for messages and return a code for each filter: the QoS granted, or `SUBSCRIPTION_REFUSED`."""
        if qos not in {0, 1}:
            raise OurFault(Kind.UNSUPPORTED, "this client receives with QoS 0 or 1")
        packet_id = self._next_packet_id()
        wanted = Subscribe(packet_id, tuple(Subscription(each, qos) for each in filters))
        answer = await self._ask(wanted, Suback, packet_id)
        assert isinstance(answer, Suback)  # that is what was asked for
        if len(answer.codes) != len(filters):
            raise self._finish(PeerFault(Kind.MALFORMED, "the server did not answer filter by filter"))
        return answer.codes

    async def receive(self) -> Publish:
        """Return the next message, acknowledged. One that is not taken before the end comes again on the next link."""
        while not self._inbox:
            if not self.is_open:
                raise self._end.result()
            self._came.clear()
            await self._came.wait()
        message = self._inbox.popleft()
        if message.qos and self.is_open:
            self._write(Puback(message.packet_id))
        return message

    async def settled(self, timeout_s: float) -> None:
        """Wait until all that was sent has been answered, but no longer than `timeout_s`."""
        if self._waiting:
            await asyncio.wait(self._waiting.values(), timeout=timeout_s)

    async def disconnect(self) -> None:
        """Take our leave and close; does nothing when it has ended."""
        if self.is_open:
            self._write(Disconnect())
            with suppress(TimeoutError):
                # The server closes first; closing over unread messages would reset the connection under our farewell.
                async with asyncio.timeout(DEVICE_LINGER_S_MAX):
                    await self.ended()
        await self.close()

    async def close(self) -> None:
        """Close without a word."""
        self._finish(ConnectionFault(self._address, tls.Refusal("closed", "by this device")))
        # Gathered, so that an error of theirs is not left for the garbage collector to tell of.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _listen(self) -> None:
        try:
            while data := await self._stream.read(_READ_BYTES):
                self._heard = self._loop.time()
                for packet in self._mqtt.feed(data):
                    self._take(packet)
            self._finish(ConnectionFault(self._address, tls.Refusal("closed", "end of the stream")))
        except StreamFault as fault:
            for packet in fault.before:
                self._take(packet)
            self._finish(fault)
        except OSError as error:
            self._finish(ConnectionFault(self._address, tls.refusal(error)))

    def _take(self, packet: Packet) -> None:
        answer = self._waiting.pop((type(packet), getattr(packet, "packet_id", 0)), None)
        if answer is not None:
            if not answer.done():
                answer.set_result(packet)
            return
        match packet:
            case Publish() if packet.qos == 2:
                self._finish(PeerFault(Kind.UNSUPPORTED, "the server sent a message of QoS 2, which none asked for"))
            case Publish() if not self._wants(packet.topic):
                # Of a subscription that an earlier process left in the session.
                if packet.qos:
                    self._write(Puback(packet.packet_id))
            case Publish() if len(self._inbox) < DEVICE_INBOX_MESSAGES_MAX:
                self._inbox.append(packet)
                self._came.set()
            case Publish():
                self._finish(Fault(Kind.TOO_LARGE, f"more than {DEVICE_INBOX_MESSAGES_MAX} messages wait to be taken"))
            case Pingresp():
                pass
            case _:
                said = type(packet).__name__.upper()
                self._finish(PeerFault(Kind.MALFORMED, f"the server sent {said} out of turn"))

    async def _keep_alive(self, keep_alive_s: int) -> None:
        while self.is_open:
            await asyncio.sleep(keep_alive_s / 2)
            if self._loop.time() - self._heard > keep_alive_s:
                self._finish(ConnectionFault(self._address, tls.Refusal("timeout", "no byte for a whole keep-alive")))
            elif self.is_open:
                self._write(Pingreq())

    async def _ask(self, packet: Packet, kind: type[Packet], packet_id: int) -> Packet:
        answer = self._expect(kind, packet_id)
        self._write(packet)
        return await self._in_time(answer, kind.__name__.upper())

    def _expect(self, kind: type[Packet], packet_id: int) -> asyncio.Future[Packet]:
        if not self.is_open:
            raise self._end.result()
        answer: asyncio.Future[Packet] = self._loop.create_future()
        self._waiting[kind, packet_id] = answer
        return answer

    async def _in_time(self, answer: asyncio.Future[Packet], what: str) -> Packet:
        try:
            async with asyncio.timeout(DEVICE_STEP_S_MAX):
                return await answer
        except TimeoutError:
            message = f"the server sent no {what} within {DEVICE_STEP_S_MAX:.0f} s"
            raise self._finish(Fault(Kind.UNAVAILABLE, message)) from None

    def _write(self, packet: Packet) -> None:
        if not self.is_open:
            raise self._end.result()
        self._writer.write(render(packet))

    def _finish(self, fault: Fault) -> Fault:
        """End everything, for the first reason that is given; return this one: it is the caller's own."""
        if self._end.done():
            return fault
        self._end.set_result(fault)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(fault)
                answer.exception()  # looked at, so that nobody is told of one whom nobody waits for
        self._waiting.clear()
        # What is not acknowledged comes again; taken now, it would come twice.
        self._inbox = deque(each for each in self._inbox if not each.qos)
        self._came.set()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._writer.transport.abort()
        return fault

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % _PACKET_IDS + 1
        return self._packet_id


async def open_link(
    identity: Identity, request: Connect, wants: Wants = lambda topic: True, network: Network = INTERNET
) -> Link:
    """Return an open connection to the identity's gateway.

    Raises `ConnectionFault` (the gateway cannot be reached or is not the home's; or it refused our certificate),
    `Refused`, and `Fault` as each method of `Link`.
    """
    reader, writer = await network.open_streams(identity)
    link = Link(reader, writer, identity.endpoint.mqtt, wants)
    try:
        await link.open(request)
    except BaseException:
        await link.close()
        raise
    return link
