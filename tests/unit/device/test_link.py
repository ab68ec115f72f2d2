"""The connection on an event loop: against Mosquitto, and against servers that say what none should."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.mosquitto import Mosquitto, mosquitto
from tests.unit.device.home import Home

from troth.clock import SystemClock
from troth.device import link as module
from troth.device.connack import Refused
from troth.device.connection import ConnectionFault
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import Identity, Settings
from troth.device.link import Link, open_link
from troth.errors import Fault, Kind, PeerFault
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Packet,
    Puback,
    Reader,
    Role,
    Suback,
    build_publish,
    render,
)

pytestmark = pytest.mark.slow

PATIENCE_S = 20.0
HELLO = Connect("sender", keep_alive_s=60)


@pytest.fixture(scope="module")
def broker(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    own, folder = home.server, tmp_path_factory.mktemp("mosquitto")
    with mosquitto(
        folder, anchors=home.root_file, chain=own.chain_file, key=own.key_file, settings="allow_anonymous true"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def identity(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Identity:
    path = tmp_path_factory.mktemp("device") / "identity"
    return enroll_by(path, home.wanted(), home.answer, SystemClock()).identity


def at(identity: Identity, port: int) -> Identity:
    """Return the identity as if its home were at this port."""
    endpoint = replace(identity.endpoint, mqtt=Address("localhost", port))
    return replace(identity, settings=Settings(identity.thing, endpoint))


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scene()

    asyncio.run(bounded())


@asynccontextmanager
async def scripted(home: Home, identity: Identity, *answers: Packet | bytes | None) -> AsyncIterator[Identity]:
    """Run a server that says one of `answers` to each packet (None: nothing), and then closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server.chain_file, home.server.key_file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mqtt, left = Reader(1 << 20, Role.SERVER), list(answers)
        while left and (data := await reader.read(65_536)):
            for _ in mqtt.feed(data):
                answer = left.pop(0) if left else None
                if answer is not None:
                    writer.write(answer if isinstance(answer, bytes) else render(answer))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield at(identity, server.sockets[0].getsockname()[1])


YES = Connack(ConnackCode.ACCEPTED)


@pytest.mark.needs("mosquitto")
def test_many_messages_in_flight_arrive_in_order(broker: Mosquitto, identity: Identity) -> None:
    async def scene() -> None:
        sender = await open_link(at(identity, broker.port), HELLO)
        receiver = await open_link(at(identity, broker.port), replace(HELLO, client_id="receiver"))
        assert await receiver.subscribe(["lab/#"]) == (1,)
        sent = [sender.send("lab/a", str(number).encode()) for number in range(100)]
        await asyncio.gather(*sent)
        came = [await receiver.receive() for _ in range(100)]
        assert [message.payload for message in came] == [str(number).encode() for number in range(100)]
        await sender.publish("lab/b", b"last", qos=0)
        assert (await receiver.receive()).payload == b"last"
        await sender.disconnect()
        await receiver.disconnect()
        assert not sender.is_open

    play(scene)


@pytest.mark.needs("mosquitto")
def test_what_was_not_taken_comes_again_on_the_next_link(broker: Mosquitto, identity: Identity) -> None:
    keeping = Connect("keeper", clean_session=False, keep_alive_s=60)

    async def scene() -> None:
        first = await open_link(at(identity, broker.port), keeping)
        assert not first.session_present
        await first.subscribe(["keep/#"])
        for number in range(3):
            await first.publish("keep/a", str(number).encode())
        assert (await first.receive()).payload == b"0"
        # The same client id takes the session over, as a renewed credential does; the old link ends.
        second = await open_link(at(identity, broker.port), keeping)
        assert second.session_present
        await first.ended()
        assert [(await second.receive()).payload for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(ConnectionFault):
            await first.receive()
        await first.close()
        await second.disconnect()

    play(scene)


def test_a_refusal_is_told(home: Home, identity: Identity) -> None:
    async def scene() -> None:
        async with scripted(home, identity, Connack(ConnackCode.NOT_AUTHORIZED)) as there:
            with pytest.raises(Refused) as caught:
                await open_link(there, HELLO)
        assert caught.value.kind is Kind.FORBIDDEN

    play(scene)


def test_the_end_is_told_to_all_who_wait(home: Home, identity: Identity) -> None:
    async def scene() -> None:
        async with scripted(home, identity, YES, None, None) as there:
            link = await open_link(there, HELLO)
            answers = await asyncio.gather(
                link.publish("a", b""), link.publish("a", b""), link.receive(), link.ended(), return_exceptions=True
            )
            assert all(isinstance(each, ConnectionFault) and each.refusal.word == "closed" for each in answers)
            for doing in (link.publish("a", b""), link.publish("a", b"", qos=0), link.subscribe(["a"])):
                with pytest.raises(ConnectionFault):
                    await doing
            await link.disconnect()

    play(scene)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"\x00\x00", Kind.MALFORMED),
        (Puback(9), Kind.MALFORMED),
        (build_publish("a", b"", qos=2, packet_id=1), Kind.UNSUPPORTED),
        (Suback(2, (0, 0)), Kind.MALFORMED),
    ],
)
def test_what_no_server_says_ends_it(home: Home, identity: Identity, said: Packet | bytes, kind: Kind) -> None:
    async def scene() -> None:
        async with scripted(home, identity, YES, None, said) as there:
            link = await open_link(there, HELLO)
            link.send("a", b"")
            with pytest.raises(PeerFault) as caught:
                await link.subscribe(["a"])
            assert caught.value.kind is kind
            await link.close()

    play(scene)


def test_more_than_the_inbox_takes_ends_it(home: Home, identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEVICE_INBOX_MESSAGES_MAX", 2)
    flood = render(build_publish("a", b"", qos=0)) * 3

    async def scene() -> None:
        async with scripted(home, identity, YES, flood) as there:
            link = await open_link(there, HELLO)
            await link.publish("a", b"", qos=0)
            assert (await link.ended()).kind is Kind.TOO_LARGE
            await link.close()

    play(scene)


@pytest.mark.parametrize("answers", [(), (YES,)])
def test_silence_is_not_waited_for_for_ever(
    home: Home, identity: Identity, monkeypatch: pytest.MonkeyPatch, answers: tuple[Packet, ...]
) -> None:
    monkeypatch.setattr(module, "DEVICE_STEP_S_MAX", 0.2)
    silent: list[Any] = [None] * 50

    async def scene() -> None:
        async with scripted(home, identity, *answers, *silent) as there:
            with pytest.raises(Fault, match=r"sent no (CONNACK|PUBACK) within") as caught:
                link: Link = await open_link(there, HELLO)
                try:
                    await link.publish("a", b"")
                finally:
                    await link.close()
            assert caught.value.kind is Kind.UNAVAILABLE

    play(scene)


def test_a_server_that_says_nothing_for_a_keep_alive_is_given_up(home: Home, identity: Identity) -> None:
    async def scene() -> None:
        async with scripted(home, identity, YES, *([None] * 50)) as there:
            link = await open_link(there, Connect("sender", keep_alive_s=0))
            link._tasks.append(asyncio.create_task(link._keep_alive(0)))
            fault = await link.ended()
            assert isinstance(fault, ConnectionFault)
            assert fault.refusal.word == "timeout"
            await link.close()

    play(scene)


def test_where_nobody_is_it_is_said_where(identity: Identity, unused_port: int) -> None:
    async def scene() -> None:
        with pytest.raises(ConnectionFault, match=f"no connection to localhost:{unused_port}") as caught:
            await open_link(at(identity, unused_port), HELLO)
        assert caught.value.refusal.word == "unreachable"

    play(scene)


@pytest.mark.needs("mosquitto")
def test_another_home_is_not_talked_to_and_turns_us_away(
    broker: Mosquitto, identity: Identity, other_home: Home, tmp_path: Path
) -> None:
    theirs = enroll_by(tmp_path / "identity", other_home.wanted(), other_home.answer, SystemClock()).identity

    async def scene() -> None:
        with pytest.raises(ConnectionFault) as caught:
            await open_link(at(theirs, broker.port), HELLO)
        assert caught.value.refusal.word in {"bad-signature", "unknown-issuer"}
        with pytest.raises(ConnectionFault) as caught:
            await open_link(replace(at(theirs, broker.port), trust=identity.trust), HELLO)
        # Mosquitto does not wait until its alert is read: what was sent meanwhile can reset the connection first.
        assert caught.value.refusal.alert or caught.value.refusal.word in {"closed", "reset"}

    play(scene)
