"""The gateway's own messages reach the broker in order, also after it was gone, and cost nobody a wait."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from troth.gateway.mqtt import events as module
from troth.gateway.mqtt.events import Events
from troth.gateway.mqtt.names import Flavour, Names
from troth.gateway.mqtt.upstream import Broker, Upstream
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Reader,
    Role,
    render,
)

TOPIC = "$aws/events/presence/connected/"


class Listening:
    """A broker for one client at a time, that can be told to go, and to acknowledge nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[tuple[str, bytes]] = []
        self.connects: list[Connect] = []
        self.said: list[object] = []
        self.read_together: list[int] = []
        self.answers = True
        self.code = ConnackCode.ACCEPTED
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def go(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        packets = Reader(65536, Role.SERVER)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                before = len(self.got)
                for packet in packets.feed(data):
                    self._take(packet, writer)
                self.read_together.append(len(self.got) - before)
        writer.close()

    def _take(self, packet: object, writer: asyncio.StreamWriter) -> None:
        self.said.append(packet)
        if isinstance(packet, Connect):
            self.connects.append(packet)
            writer.write(render(Connack(self.code)))
        elif isinstance(packet, Publish):
            assert packet.qos == 1
            self.got.append((packet.topic, packet.payload))
            if self.answers:
                writer.write(render(Puback(packet.packet_id)))
        elif isinstance(packet, Pingreq) and self.answers:
            writer.write(render(Pingresp()))


def at_work(part: Callable[[Events, Listening], Awaitable[None]], flavour: Flavour = Flavour.MQTT) -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        broker = Listening(port)
        upstream = Upstream(Broker(f"mqtt://127.0.0.1:{port}", flavour.value, "gateway", "secret"), 65536)
        events = Events(upstream, Names(flavour, 65535))
        running = asyncio.create_task(events.run())
        try:
            async with asyncio.timeout(10):
                await part(events, broker)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await broker.go()

    asyncio.run(work())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing in the product waits for this
        await asyncio.sleep(0.002)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)


def test_events_go_in_order_as_ourselves() -> None:
    async def part(events: Events, broker: Listening) -> None:
        for number in range(300):
            events.publish(f"{TOPIC}{number}", b"x")
        await broker.open()
        await events.close(5)
        assert broker.got == [(f"{TOPIC}{number}", b"x") for number in range(300)]
        (connect,) = broker.connects
        assert (connect.username, connect.clean_session) == ("gateway", True)
        assert events.lost == 0

    at_work(part)


def test_events_of_several_moments_go_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 3600)

    async def part(events: Events, broker: Listening) -> None:
        await broker.open()
        await until(lambda: events.is_connected)
        for number in range(64):
            # It goes for as much as the broker is sent at once, not for the end of the time.
            assert not broker.got
            events.publish(f"{TOPIC}{number}", b"x")
            await asyncio.sleep(0.001)
        await until(lambda: len(broker.got) == 64)
        assert max(broker.read_together) == 64

    at_work(part)


def test_what_a_broker_did_not_acknowledge_goes_again() -> None:
    async def part(events: Events, broker: Listening) -> None:
        broker.answers = False
        await broker.open()
        for number in range(3):
            events.publish(f"{TOPIC}{number}", b"x")
        await until(lambda: len(broker.got) == 3)
        await broker.go()
        events.publish(f"{TOPIC}3", b"x")
        broker.got.clear()
        broker.answers = True
        await broker.open()
        await events.close(5)
        assert [topic for topic, _ in broker.got] == [f"{TOPIC}{number}" for number in range(4)]

    at_work(part)


def test_what_waits_is_bounded_and_the_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS_WAITING_MAX", 5)

    async def part(events: Events, broker: Listening) -> None:
        for number in range(8):
            events.publish(f"{TOPIC}{number}", b"x")
        with capture_logs() as logs:
            events.tick()
            events.tick()
        assert [(each["event"], each["count"]) for each in logs] == [("events.dropped", 3)]
        await broker.open()
        await events.close(5)
        assert [topic for topic, _ in broker.got] == [f"{TOPIC}{number}" for number in range(3, 8)]
        assert events.lost == 3

    at_work(part)


def test_a_topic_that_the_broker_cannot_carry_is_lost_alone() -> None:
    async def part(events: Events, broker: Listening) -> None:
        events.publish(f"{TOPIC}a > b", b"x")
        events.publish(f"{TOPIC}c", b"x")
        await broker.open()
        await events.close(5)
        assert (broker.got, events.lost) == ([(f"{TOPIC}c", b"x")], 1)

    at_work(part, Flavour.NATS)


def test_a_broker_that_refuses_or_falls_silent_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PING_S", 0.02)

    async def part(events: Events, broker: Listening) -> None:
        broker.code = ConnackCode.SERVER_UNAVAILABLE
        await broker.open()
        await until(lambda: len(broker.connects) >= 2)
        broker.code, broker.answers = ConnackCode.ACCEPTED, False
        known = len(broker.connects)
        # It pings, hears nothing, and comes again.
        await until(lambda: len(broker.connects) >= known + 2)
        assert Pingreq() in broker.said
        broker.answers = True
        events.publish(f"{TOPIC}a", b"x")
        await events.close(5)
        assert broker.got[-1] == (f"{TOPIC}a", b"x")

    at_work(part)


def test_a_stop_does_not_wait_for_a_broker_that_is_gone() -> None:
    async def part(events: Events, broker: Listening) -> None:
        await broker.open()
        events.publish(f"{TOPIC}a", b"x")
        await events.close(5)
        await broker.go()
        events.publish(f"{TOPIC}b", b"x")
        await events.close(0.05)
        assert events.lost == 1
        await broker.open()

    at_work(part)


def test_nothing_goes_but_events() -> None:
    events = Events(Upstream(Broker("unix:/x"), 1024), Names(Flavour.MQTT, 100))
    with pytest.raises(AssertionError):
        events.publish("home/lamp", b"x")
