"""What flows through a connection that stands, how it is held back, and how it ends."""

import asyncio
import gc
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from tests.unit.tls.harness import PATIENCE_S, Echo, LoopFactory, Server, World, run, say, serving
from tests.unit.tls.wire import Wire, wire

from troth.limits import TLS_LINGER_BYTES_MAX
from troth.tls.server import HandshakeFailure

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])
MIB = 1024 * 1024
PATTERN = bytes(range(256)) * (MIB // 256)


@asynccontextmanager
async def standing(
    world: World, version: ssl.TLSVersion = TLS13, make: Callable[[], Echo] = Echo
) -> AsyncIterator[tuple[Server, Wire, Echo]]:
    """A server, one connection to it that stands, and the inner protocol of that."""
    context = world.client(world.device, version)
    async with serving(world.tls(), make) as server, wire(server.port, context) as carried:
        yield server, carried, await server.made.get()


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = number = 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        yield data[at : at + size]
        at += size
        number += 1


@VERSIONS
def test_a_mebibyte_comes_and_goes(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    def exchange(port: int) -> bytes:
        context = world.client(world.device, version)
        answer = bytearray()
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            for part in pieces(PATTERN, [200_000]):
                connection.sendall(part)
                expected = len(answer) + len(part)
                while len(answer) < expected:
                    answer += connection.recv(65_536)
        return bytes(answer)

    async def main() -> None:
        async with serving(world.tls()) as server:
            assert await asyncio.to_thread(exchange, server.port) == PATTERN

    run(loop_factory, main())


@VERSIONS
@pytest.mark.parametrize("cuts", [[1], [5], [3, 1, 700, 2, 40_000], [90_000]], ids=str)
def test_records_are_read_however_they_are_cut(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion, cuts: list[int]
) -> None:
    messages = [PATTERN[: (7 * number) % 300 + 1] for number in range(60)]
    if max(cuts) > 1000:
        messages += [PATTERN[:70_000], b"end"]

    async def main() -> None:
        async with standing(world, version) as (_server, carried, _echo):
            for part in pieces(carried.sealed(*messages), cuts):
                carried.writer.write(part)
                await carried.writer.drain()
            assert await carried.read(sum(map(len, messages))) == b"".join(messages)

    run(loop_factory, main())


class Counting(Echo):
    """Counts how often it is given something."""

    calls_of_data = 0

    def data_received(self, data: bytes) -> None:
        self.calls_of_data += 1
        super().data_received(data)


def test_what_arrives_at_once_is_delivered_at_once(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world, make=Counting) as (_server, carried, echo):
            carried.writer.write(carried.sealed(*[b"small"] * 20))
            assert await carried.read(100) == b"small" * 20
            assert isinstance(echo, Counting)
            assert echo.calls_of_data == 1

    run(loop_factory, main())


def test_what_comes_right_behind_the_handshake_is_read(world: World, loop_factory: LoopFactory) -> None:
    message = PATTERN[:100_000]

    async def main() -> None:
        context = world.client(world.device)
        async with serving(world.tls()) as server, wire(server.port, context, handshake=False) as carried:
            with pytest.raises(ssl.SSLWantReadError):
                carried.tls.do_handshake()
            carried.writer.write(carried.outgoing.read())
            carried.incoming.write(await carried.reader.read(65_536))
            carried.tls.do_handshake()
            carried.writer.write(carried.outgoing.read() + carried.sealed(message))
            assert await carried.read(len(message)) == message

    run(loop_factory, main())


class Flood(Echo):
    """Answers with more than any socket takes, in several kinds of buffer."""

    def data_received(self, data: bytes) -> None:
        self.transport.set_write_buffer_limits(high=65_536, low=16_384)
        for _ in range(6):
            self.transport.write(memoryview(PATTERN))
        self.transport.writelines([bytearray(b"the "), b"", memoryview(b"end")])
        assert self.transport.get_write_buffer_size() > 0


@VERSIONS
def test_a_slow_reader_pauses_the_writer(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        async with standing(world, version, make=Flood) as (_server, carried, echo):
            carried.writer.write(carried.sealed(b"go"))
            assert await carried.read(6 * MIB + 7) == PATTERN * 6 + b"the end"
            assert echo.calls == ["made", "pause", "resume"]
            await carried.leave()
            await echo.lost

    run(loop_factory, main())


def test_a_paused_reader_is_given_nothing(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world) as (server, carried, echo):
            echo.transport.pause_reading()
            assert not echo.transport.is_reading()
            carried.writer.write(carried.sealed(b"one", b"two"))
            await carried.writer.drain()
            # Another connection's round trip gives this one every chance.
            assert await asyncio.to_thread(say, server.port, world.client(world.device), b"x") == b"x"
            assert echo.received == b""
            echo.transport.resume_reading()
            assert await carried.read(6) == b"onetwo"
            await carried.leave()
            await echo.lost

    run(loop_factory, main())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets nobody be left for having taken too long."""
    monkeypatch.setattr("troth.tls.lingering.TLS_LINGER_S", 10 * PATIENCE_S)


@VERSIONS
@pytest.mark.usefixtures("patient")
def test_our_goodbye_is_said_and_the_peers_awaited(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        async with standing(world, version) as (_server, carried, echo):
            echo.transport.write(b"last words")
            echo.transport.pause_reading()
            echo.transport.close()
            echo.transport.write(b"ignored")
            assert echo.transport.is_closing()
            # What the peer was still saying must not turn our last words into a reset.
            carried.writer.write(carried.sealed(b"and another thing"))
            assert await carried.read(100) == b"last words"
            carried.tls.unwrap()
            carried.writer.write(carried.outgoing.read())
            assert not echo.lost.done()
            await carried.leave()
            assert await echo.lost is None
            assert echo.calls == ["made", "lost"]
            assert echo.received == b""

    run(loop_factory, main())


@VERSIONS
def test_a_peers_goodbye_is_answered(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    async def main() -> None:
        async with standing(world, version) as (_server, carried, echo):
            sealed = carried.sealed(b"goodbye")
            with pytest.raises(ssl.SSLWantReadError):
                carried.tls.unwrap()
            carried.writer.write(sealed + carried.outgoing.read())
            # Python's own end refuses data after its unwrap, so that the stream is looked at as it is.
            assert await carried.reader.read() != b""
            await carried.leave()
            assert await echo.lost is None
            assert echo.received == b"goodbye"
            assert echo.calls == ["made", "eof", "lost"]

    run(loop_factory, main())


class Polite(Echo):
    """Has something to say after the peer has said goodbye."""

    def eof_received(self) -> bool:
        super().eof_received()
        asyncio.get_running_loop().call_soon(self._answer)
        return True

    def _answer(self) -> None:
        self.transport.write(PATTERN)
        self.transport.close()


def test_half_closed_by_the_peer_we_can_still_speak(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world, make=Polite) as (_server, carried, echo):
            with pytest.raises(ssl.SSLWantReadError):
                carried.tls.unwrap()
            carried.writer.write(carried.outgoing.read())
            carried.writer.write_eof()
            assert len(await carried.reader.read()) > MIB
            await carried.leave()
            assert await echo.lost is None
            assert echo.calls[:2] == ["made", "eof"]

    run(loop_factory, main())


def test_a_stream_cut_short_is_told_from_a_goodbye(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world) as (_server, carried, echo):
            await carried.leave()
            assert isinstance(await echo.lost, ConnectionAbortedError)
            assert echo.calls == ["made", "lost"]

    run(loop_factory, main())


@VERSIONS
def test_a_changed_record_ends_the_connection_with_an_alert(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        async with standing(world, version) as (_server, carried, echo):
            good, bad = carried.sealed(b"good"), bytearray(carried.sealed(b"evil"))
            bad[-1] ^= 1
            # What follows, more than is looked at at once, does not hide the cause.
            carried.writer.write(good + bad + bytes(100_000))
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
                await carried.read(100)
            await carried.leave()
            lost = await echo.lost
            assert isinstance(lost, ConnectionAbortedError)
            assert "bad record mac" in str(lost)
            assert echo.received == b"good"

    run(loop_factory, main())


def test_after_abort_nothing_more_is_sent(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world) as (_server, carried, echo):
            echo.transport.abort()
            echo.transport.write(b"ignored")
            assert await echo.lost is None
            assert await carried.reader.read() == b""

    run(loop_factory, main())


def test_who_does_not_go_is_left(world: World, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.tls.lingering.TLS_LINGER_S", 0.02)

    async def main() -> None:
        async with standing(world, make=Flood) as (server, _silent, echo):
            echo.transport.close()
            assert await echo.lost is None
            # One who neither reads nor goes; what we have for it is dropped.
            async with wire(server.port, world.client(world.device)) as deaf:
                cast("asyncio.Transport", deaf.writer.transport).pause_reading()
                echo = await server.made.get()
                deaf.writer.write(deaf.sealed(b"go"))
                await echo.paused.wait()
                echo.transport.close()
                assert await echo.lost is None

    run(loop_factory, main())


class Peephole(asyncio.Transport):
    """Stands in for a TCP connection whose peer takes what we send at the pace of `unsent`, and never goes."""

    def __init__(self, unsent: list[int]) -> None:
        super().__init__()
        self.unsent = unsent
        self.sent = bytearray()
        self.aborted = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_reading(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unsent.pop(0)

    def abort(self) -> None:
        self.aborted.set()


@pytest.mark.parametrize(
    ("unsent", "left"),
    [([300, 200, 100, 0, 7], 1), ([300, 200, 200, 7], 1), ([0, 0, 7], 1)],
    ids=["took-all", "stopped", "had-all"],
)
def test_who_is_still_reading_is_not_left(
    world: World, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch, unsent: list[int], left: int
) -> None:
    monkeypatch.setattr("troth.tls.lingering.TLS_LINGER_S", 0.001)

    async def main() -> None:
        outer = Peephole(list(unsent))
        server = Server(world.tls(), Echo, pending_max=1)
        protocol = server.acceptor.protocol(server.inner)
        protocol.connection_made(outer)
        protocol.data_received(b"GET / HTTP/1.1")
        await outer.aborted.wait()
        assert len(outer.unsent) == left
        protocol.connection_lost(None)

    run(loop_factory, main())


@pytest.mark.usefixtures("patient")
def test_who_goes_on_talking_after_our_goodbye_is_cut_off(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with standing(world) as (_server, carried, echo):
            echo.transport.close()
            carried.writer.write(bytes(TLS_LINGER_BYTES_MAX + 1))
            await echo.lost

    run(loop_factory, main())


@pytest.mark.parametrize("goodbye", [False, True], ids=["cut", "goodbye"])
def test_what_openssl_holds_goes_with_the_connection(world: World, loop_factory: LoopFactory, goodbye: bool) -> None:
    """Twenty thousand connections of tens of KiB cannot wait for the garbage collector."""

    async def main() -> None:
        async with serving(world.tls()) as server:
            async with wire(server.port, world.client(world.device)) as carried:
                peer = await server.recorder.peer()
                if goodbye:
                    with pytest.raises(ssl.SSLWantReadError):
                        carried.tls.unwrap()
                    carried.writer.write(carried.outgoing.read())
            held = weakref.ref(peer._connection)
            gc.disable()
            try:
                await server.inners[0].lost
                server.inners.clear()
                server.made.get_nowait()
                del peer
                # One turn of the loop, for what the loop itself still has in hand.
                await asyncio.sleep(0)
                assert held() is None
            finally:
                gc.enable()

    run(loop_factory, main())


def test_a_bad_peer_leaves_good_ones_alone(world: World, loop_factory: LoopFactory) -> None:
    """OpenSSL's error queue belongs to the thread: what one connection leaves there must not end another."""

    async def main() -> None:
        async with standing(world) as (server, good, _echo):
            for _ in range(3):
                with pytest.raises(ssl.SSLError):
                    await asyncio.to_thread(say, server.port, world.client(None), b"x")
                good.writer.write(good.sealed(b"still here"))
                assert await good.read(10) == b"still here"
            await server.recorder.peer()
            for _ in range(3):
                assert (await server.recorder.failure()).reason is HandshakeFailure.NO_CERTIFICATE

    run(loop_factory, main())
