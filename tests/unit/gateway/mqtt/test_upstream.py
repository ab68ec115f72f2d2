"""The way to the broker: whom the gateway says it is, and what it does when the session or the broker has gone."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.gateway.mqtt.wires import Nobody, Wire

from troth.errors import Fault, Kind
from troth.gateway.mqtt.upstream import KEEP_ALIVE_S_MIN, Broker, Upstream
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Packet, Reader, Role, StreamFault, Will, render

HERE = Broker("mqtt://127.0.0.1:1883", "nats", "gateway", "secret")


class Session(Nobody):
    """Hears what a link tells."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.faults: list[StreamFault] = []
        self.slow: list[bool] = []
        self.gone = 0

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        self.packets += packets
        self.faults += [fault] if fault else []

    def broker_slow(self, slow: bool) -> None:
        self.slow.append(slow)

    def broker_gone(self) -> None:
        self.gone += 1


def said(upstream: Upstream, connect: Connect, keep_alive_s: int = 30) -> Connect:
    wire = Wire()
    upstream.prepare(Session(), connect, "mapped", keep_alive_s).connection_made(wire)
    (packet,) = Reader(65536, Role.SERVER).feed(wire.writes[0])
    assert isinstance(packet, Connect)
    return packet


def test_it_says_what_the_device_said_as_ourselves() -> None:
    will = Will("a", b"x", 1, True)
    connect = Connect("lamp", False, 7, will, "admin", b"guess")
    expected = Connect("mapped", False, KEEP_ALIVE_S_MIN, will, "gateway", b"secret")
    assert said(Upstream(HERE, 1024), connect) == expected
    assert said(Upstream(HERE, 1024), connect, 600).keep_alive_s == 600


def test_without_a_user_of_ours_the_devices_own_still_goes_no_further() -> None:
    packet = said(Upstream(Broker("unix:/x"), 1024), Connect("lamp", username="admin", password=b"guess"))
    assert (packet.username, packet.password) == (None, None)


def test_a_link_tells_its_session_until_that_has_ended() -> None:
    session, wire = Session(), Wire()
    link = Upstream(HERE, 1024).prepare(session, Connect("lamp"), "mapped", 30)
    link.connection_made(wire)
    link.data_received(render(Connack(ConnackCode.ACCEPTED)) + b"\xff")
    assert [type(each) for each in session.packets] == [Connack]
    assert len(session.faults) == 1
    link.pause_writing()
    link.resume_writing()
    assert session.slow == [True, False]

    async def close() -> None:
        link.close()
        assert wire.closed
        link.data_received(b"\x00")
        link.pause_writing()
        link.connection_lost(None)

    asyncio.run(close())
    assert (len(session.packets), session.gone) == (1, 0)


def test_what_a_link_wrote_last_arrives_though_it_read_nothing(tmp_path: Path) -> None:
    """A connection that is closed with something unread is reset, and what was on its way may be lost."""
    last = b"\xe0\x00" * 50_000

    async def talk() -> bytes:
        came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(bytes(100_000))
            try:
                await asyncio.sleep(0)
                came.set_result(await reader.read())
            except OSError as error:
                came.set_exception(error)
            writer.close()

        async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
            upstream = Upstream(Broker(f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"), 1024)
            link = upstream.prepare(Session(), Connect("lamp"), "mapped", 30)
            await upstream.dial(link)
            link.pause_reading()
            link.write(last)
            link.close()
            return await came

    assert asyncio.run(talk()).endswith(last)


def test_a_link_that_stands_too_late_is_cut() -> None:
    wire = Wire()
    cut: list[bool] = []
    wire.abort = lambda: cut.append(True)  # type: ignore[method-assign]
    link = Upstream(HERE, 1024).prepare(Session(), Connect("lamp"), "mapped", 30)
    link.close()
    link.connection_made(wire)
    assert cut
    assert wire.writes == []


def test_a_broker_that_goes_is_told_of() -> None:
    session, wire = Session(), Wire()
    link = Upstream(HERE, 1024).prepare(session, Connect("lamp"), "mapped", 30)
    link.connection_made(wire)
    link.connection_lost(ConnectionResetError())
    assert session.gone == 1


def test_a_broker_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    upstream = Upstream(Broker(f"unix:{tmp_path}/nobody"), 1024)
    with pytest.raises(Fault) as caught:
        asyncio.run(upstream.dial(upstream.prepare(Session(), Connect("lamp"), "mapped", 30)))
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize(
    "broker", [Broker("http://x"), Broker("mqtt://"), Broker("mqtts://h", ca_file="/nowhere"), Broker("mqtts://h")]
)
def test_a_broker_that_cannot_be_is_refused_at_the_start(broker: Broker) -> None:
    with pytest.raises(Fault) as caught:
        Upstream(broker, 1024)
    assert caught.value.kind is Kind.MISCONFIGURED
