"""An ASGI application behind TLS and in the clear: who is asking, how long it may take, how it stops."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.unit.tls.certificates import Held, leaf, of_version_five
from tests.unit.tls.harness import PATIENCE_S, LoopFactory, Recorder, World, run
from tests.unit.tls.wire import wire

from troth.limits import DEFAULT, Limits
from troth.tls.asgi import Glance, HTTPServer, serve
from troth.tls.server import Acceptor, ClientAuth, HandshakeFailure, PendingHandshakes

REQUEST = b"GET / HTTP/1.1\r\nhost: home\r\nconnection: close\r\n\r\n"


class StoppedClock:
    """It is always the same time."""

    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def respond(send: Send, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the TLS extension says, and with how many bytes came."""
    received, more = 0, True
    while more:
        message = await receive()
        received += len(message.get("body", b""))
        more = message.get("more_body", False)
    told = {"scheme": scope["scheme"], "tls": scope.get("extensions", {}).get("tls"), "received": received}
    await respond(send, json.dumps(told).encode())


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.answer.wait()
        await respond(send, b"at last")


class Site:
    """A running server with its port and its recorder."""

    def __init__(self, http: HTTPServer, port: int, recorder: Recorder) -> None:
        self.http, self.port, self.recorder = http, port, recorder


@asynccontextmanager
async def site(
    world: World,
    app: ASGIApp,
    client_auth: ClientAuth | None = None,
    limits: Limits = DEFAULT,
    glance: Glance | None = None,
) -> AsyncIterator[Site]:
    recorder = Recorder()
    acceptor = None
    if client_auth is not None:
        tls = world.tls(client_auth, alpn=("http/1.1",))
        acceptor = Acceptor(tls, recorder, PendingHandshakes(limits.handshakes_pending_max))
    sock = socket.create_server(("127.0.0.1", 0))
    http = await serve(app, sock, StoppedClock(), limits, acceptor, glance)
    try:
        yield Site(http, sock.getsockname()[1], recorder)
    finally:
        await http.close(PATIENCE_S)


async def curl(world: World, port: int, held: Held | None, *more: str | Path) -> tuple[str, str]:
    """Return the body and what curl complains of."""
    command: list[str | Path] = ["curl", "--silent", "--show-error", "--cacert", world.folder / "root.pem", *more]
    if held is not None:
        chain, key = held.write(world.folder / f"curl-{held.certificate.serial_number:x}")
        command += ["--cert", chain, "--key", key]
    command.append(f"https://localhost:{port}/")

    def ask() -> tuple[str, str]:
        done = subprocess.run(list(map(str, command)), capture_output=True, timeout=PATIENCE_S, check=False)
        return done.stdout.decode(), done.stderr.decode()

    return await asyncio.to_thread(ask)


async def raw(port: int, *said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(said)
    answer = await reader.read()
    writer.close()
    return answer


def pem_chain(texts: Sequence[str]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(text.encode()) for text in texts]


@pytest.mark.needs("curl")
@pytest.mark.parametrize(("option", "version", "suite"), [("1.2", 0x0303, 0xC02B), ("1.3", 0x0304, 0x1301)])
def test_an_application_sees_who_asks(
    world: World, loop_factory: LoopFactory, option: str, version: int, suite: int
) -> None:
    device = leaf("thermostat", world.devices, above=(world.devices.certificate,))
    size = len(Path(__file__).read_bytes())

    async def main() -> None:
        async with site(world, who, ClientAuth.OPTIONAL) as home:
            exactly = [f"--tlsv{option}", "--tls-max", option, "--http1.1"]
            body, _ = await curl(world, home.port, device, *exactly, "--data-binary", "@" + str(__file__))
            told = json.loads(body)
            assert told["scheme"] == "https"
            assert told["received"] == size
            tls = told["tls"]
            assert pem_chain(tls.pop("client_cert_chain")) == [device.certificate, world.devices.certificate]
            assert pem_chain([tls.pop("server_cert")]) == [world.server.certificate]
            assert tls == {
                "client_cert_name": "CN=thermostat",
                "client_cert_error": None,
                "tls_version": version,
                "cipher_suite": suite,
            }
            body, _ = await curl(world, home.port, None, *exactly)
            tls = json.loads(body)["tls"]
            assert tls["client_cert_chain"] == []
            assert tls["client_cert_name"] is None

    run(loop_factory, main())


@pytest.mark.needs("curl")
def test_who_must_show_a_certificate_and_does_not_is_told(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(world, who, ClientAuth.REQUIRED) as home:
            body, complaint = await curl(world, home.port, None)
            assert body == ""
            assert re.search("alert.certificate required", complaint)
            assert (await home.recorder.failure()).reason is HandshakeFailure.NO_CERTIFICATE

    run(loop_factory, main())


def test_who_presents_what_cannot_be_read_is_sent_away(world: World, loop_factory: LoopFactory) -> None:
    chain, key = world.device.write(world.folder / "asgi-version-five")
    with chain.open("a") as more:
        more.write(ssl.DER_cert_to_PEM_cert(of_version_five(world.device, world.devices)))
    context = world.client(None)
    context.load_cert_chain(chain, key)

    async def main() -> None:
        async with site(world, who, ClientAuth.REQUIRED) as home, wire(home.port, context) as carried:
            assert await carried.reader.read() == b""

    run(loop_factory, main())


def test_in_the_clear_there_is_no_tls(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(world, who) as home:
            head, _, body = (await raw(home.port, REQUEST)).partition(b"\r\n\r\n")
            assert b"date: Fri, 02 Jan 2026 03:04:05 GMT" in head
            assert b"server:" not in head
            assert json.loads(body) == {"scheme": "http", "tls": None, "received": 0}

    run(loop_factory, main())


def test_a_header_without_end_is_refused(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(world, who) as home:
            answer = await raw(home.port, b"GET / HTTP/1.1\r\nhost: home\r\nx: ", b"x" * 20_000)
            assert answer.startswith(b"HTTP/1.1 400 ")

    run(loop_factory, main())


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nhost:", b"POST / HTTP/1.1\r\nhost: home\r\ncontent-length: 9\r\n\r\nhalf"],
    ids=["silence", "half-a-header", "half-a-body"],
)
def test_a_request_that_does_not_come_whole_is_given_up(world: World, loop_factory: LoopFactory, said: bytes) -> None:
    async def main() -> None:
        async with site(world, who, limits=replace(DEFAULT, request_s=0.05)) as home:
            assert await raw(home.port, said) == b""

    run(loop_factory, main())


def test_an_answer_may_take_longer_than_a_request(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        slow = Slow()
        async with site(world, slow, limits=replace(DEFAULT, request_s=0.05)) as home:
            asyncio.get_running_loop().call_later(0.15, slow.answer.set)
            assert (await raw(home.port, REQUEST)).endswith(b"at last")

    run(loop_factory, main())


def test_an_answer_that_is_not_read_is_given_up(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def big(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for more in (True, False):
                await send({"type": "http.response.body", "body": bytes(16_000_000), "more_body": more})
            ended.set()

        async with site(world, big, limits=replace(DEFAULT, request_s=0.05)) as home:
            with socket.create_connection(("127.0.0.1", home.port), PATIENCE_S) as deaf:
                await asyncio.to_thread(deaf.sendall, REQUEST)
                await ended.wait()
                await home.http.empty.wait()

    run(loop_factory, main())


GLANCED = b"GET /known HTTP/1.1\r\nhost: home\r\n\r\n"


def at_a_glance(received: bytes, date: bytes) -> bytes | None:
    """Answer one request, and tell the date."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n" + date if received == GLANCED else None


def test_what_is_answered_at_a_glance_the_application_does_not_see(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(world, who, glance=at_a_glance) as home:
            reader, writer = await asyncio.open_connection("127.0.0.1", home.port)
            date = b"Fri, 02 Jan 2026 03:04:05 GMT"
            for _ in range(3):
                writer.write(GLANCED)
                assert (await reader.readuntil(date)).startswith(b"HTTP/1.1 200 OK")
            writer.write(REQUEST)
            assert b'"scheme": "http"' in await reader.read()
            writer.close()

    run(loop_factory, main())


def test_who_was_answered_at_a_glance_is_not_waited_for_longer(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(world, who, limits=replace(DEFAULT, request_s=0.05), glance=at_a_glance) as home:
            assert (await raw(home.port, GLANCED)).startswith(b"HTTP/1.1 200 OK")

    run(loop_factory, main())


def test_who_asks_without_end_and_never_reads_is_sent_away(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with site(
            world,
            who,
            limits=replace(DEFAULT, request_s=0.05),
            glance=lambda received, _: bytes(1_000_000) if received.startswith(GLANCED) else None,
        ) as home:
            with socket.create_connection(("127.0.0.1", home.port), PATIENCE_S) as deaf:
                await asyncio.to_thread(_ask_until_sent_away, deaf)
                await home.http.empty.wait()

    run(loop_factory, main())


def _ask_until_sent_away(deaf: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            deaf.sendall(GLANCED)


def test_connections_above_the_bound_are_closed(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        slow = Slow()
        async with site(world, slow, limits=replace(DEFAULT, connections_max=1)) as home:
            first = asyncio.create_task(raw(home.port, REQUEST))
            await slow.asked.wait()
            assert await raw(home.port) == b""
            slow.answer.set()
            assert (await first).endswith(b"at last")

    run(loop_factory, main())


@pytest.mark.needs("curl")
def test_a_stop_waits_for_the_answer_under_way(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        slow = Slow()
        async with site(world, slow, ClientAuth.OPTIONAL) as home:
            asking = asyncio.create_task(curl(world, home.port, world.device))
            await slow.asked.wait()
            closing = asyncio.create_task(home.http.close(PATIENCE_S))
            _, complaint = await curl(world, home.port, world.device)
            assert "Failed to connect" in complaint
            assert not closing.done()
            slow.answer.set()
            assert await asking == ("at last", "")
            await closing

    run(loop_factory, main())


def test_a_stop_does_not_wait_for_ever(
    world: World, loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        slow = Slow()
        async with site(world, slow) as home:
            asking = asyncio.create_task(raw(home.port, REQUEST))
            await slow.asked.wait()
            await home.http.close(0.02)
            assert b"at last" not in await asking
        assert "ended 1 connections before their answers" in caplog.text

    run(loop_factory, main())


def test_a_stop_sends_the_idle_away_and_lets_nobody_in(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        context = world.client(world.device)
        async with (
            site(world, who, ClientAuth.REQUIRED) as home,
            wire(home.port, context) as idle,
            wire(home.port, context, handshake=False) as late,
        ):
            idle.writer.write(idle.sealed(REQUEST.replace(b"close", b"keep-alive")))
            assert (await idle.read(15)).startswith(b"HTTP/1.1 200")
            with contextlib.suppress(ssl.SSLWantReadError):
                late.tls.do_handshake()
            late.writer.write(late.outgoing.read())
            late.incoming.write(await late.reader.read(65_536))
            closing = asyncio.create_task(home.http.close(PATIENCE_S))
            await idle.read(100_000)
            await idle.leave()
            await closing
            late.tls.do_handshake()
            late.writer.write(late.outgoing.read() + late.sealed(REQUEST))
            assert await late.reader.read() == b""

    run(loop_factory, main())
