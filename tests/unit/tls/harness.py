"""A TLS server on a free port of the loopback, what it saw, and the clients that come to it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from tests.unit.tls.certificates import Held

from troth.tls.server import (
    Acceptor,
    Address,
    ClientAuth,
    HandshakeFailure,
    PeerTLS,
    PendingHandshakes,
    ServerIdentity,
    ServerTLS,
)

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
LOOPS: dict[str, LoopFactory] = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}
PATIENCE_S = 10.0
"""How long a test waits for what must happen; never reached when all is well."""


def run(loop_factory: LoopFactory, main: Coroutine[Any, Any, None]) -> None:
    """Run `main` to its end on a loop of the wanted kind."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await main

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(bounded())


@dataclass(frozen=True)
class Failure:
    """What the observer was told of a handshake that failed."""

    reason: HandshakeFailure
    detail: str
    address: Address | None = field(compare=False, default=None)


class Recorder:
    """A `HandshakeObserver` whose news can be awaited, one by one."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[PeerTLS | Failure] = asyncio.Queue()

    def on_success(self, peer: PeerTLS, address: Address | None) -> None:
        assert address is not None
        self.news.put_nowait(peer)

    def on_failure(self, address: Address | None, reason: HandshakeFailure, detail: str) -> None:
        self.news.put_nowait(Failure(reason, detail, address))

    async def failure(self) -> Failure:
        told = await self.news.get()
        assert isinstance(told, Failure), told
        return told

    async def peer(self) -> PeerTLS:
        told = await self.news.get()
        assert isinstance(told, PeerTLS), told
        return told


class Echo(asyncio.Protocol):
    """Sends back what comes, and records its life."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received = bytearray()
        self.arrived = asyncio.Event()
        self.paused = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.calls.append("made")

    async def heard(self, ending: bytes) -> None:
        """Wait until what was received ends so."""
        while not self.received.endswith(ending):
            self.arrived.clear()
            await self.arrived.wait()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.arrived.set()
        self.transport.write(data)

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return None

    def pause_writing(self) -> None:
        self.calls.append("pause")
        self.paused.set()

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)


class Server:
    """A listening server, its recorder and the inner protocols that it made."""

    def __init__(self, tls: ServerTLS, make: Callable[[], Echo], pending_max: int) -> None:
        self.recorder = Recorder()
        self.made: asyncio.Queue[Echo] = asyncio.Queue()
        self.pending = PendingHandshakes(pending_max)
        self.acceptor = Acceptor(tls, self.recorder, self.pending)
        self.port = 0
        self.inners: list[Echo] = []
        self._make = make

    def inner(self) -> asyncio.Protocol:
        echo = self._make()
        self.made.put_nowait(echo)
        self.inners.append(echo)
        return echo


@asynccontextmanager
async def serving(tls: ServerTLS, make: Callable[[], Echo] = Echo, pending_max: int = 100) -> AsyncIterator[Server]:
    """Listen on a free port of the loopback."""
    server = Server(tls, make, pending_max)
    sock = socket.create_server(("127.0.0.1", 0))
    server.port = sock.getsockname()[1]
    listener = await asyncio.get_running_loop().create_server(lambda: server.acceptor.protocol(server.inner), sock=sock)
    try:
        yield server
    finally:
        listener.close()
        server.pending.abort_all()
        for echo in server.inners:
            echo.transport.abort()
            await echo.lost


@dataclass(frozen=True)
class World:
    """The CAs, the server and the honest device of a test."""

    root: Held
    devices: Held
    server: Held
    device: Held
    folder: Path

    def tls(
        self,
        client_auth: ClientAuth = ClientAuth.REQUIRED,
        *,
        alpn: tuple[str, ...] = (),
        handshake_s: float = 10.0,
        anchors: tuple[Held, ...] | None = None,
    ) -> ServerTLS:
        return ServerTLS(
            ServerIdentity(self.server.chain, self.server.key),
            tuple(one.certificate for one in anchors or (self.devices,)),
            client_auth,
            alpn=alpn,
            handshake_s=handshake_s,
        )

    def client(self, held: Held | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        """Python's own client, with the certificate of `held`, speaking exactly `version`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = context.maximum_version = version
        context.load_verify_locations(cadata=self.root_pem.decode())
        if held is not None:
            context.load_cert_chain(*held.write(self.folder / f"client-{held.certificate.serial_number:x}"))
        return context

    @property
    def root_pem(self) -> bytes:
        return (self.folder / "root.pem").read_bytes()


def say(port: int, context: ssl.SSLContext, message: bytes) -> bytes:
    """Connect, send `message` and return as many bytes of the answer; raises what a client of the world would see."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(message)
        answer = b""
        while len(answer) < len(message):
            part = connection.recv(65_536)
            if not part:
                break
            answer += part
        return answer
