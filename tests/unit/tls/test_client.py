"""The device's side: whom it trusts, how it is refused, and how it learns of that."""

import asyncio
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from tests.unit.tls.certificates import CLIENT, DAY, NOW, SERVER, Held, authority, leaf
from tests.unit.tls.harness import PATIENCE_S, LoopFactory, World, run, serving

from troth.errors import Fault, Kind
from troth.tls.client import client_context, connect, last_words, refusal, verified_chain
from troth.tls.server import ClientAuth, HandshakeFailure, ServerIdentity, ServerTLS


def say(port: int, context: ssl.SSLContext, server_name: str = "localhost") -> bytes:
    with connect("127.0.0.1", port, context, server_name, PATIENCE_S) as connection:
        connection.sendall(b"hello")
        return connection.recv(100)


def fake_home(world: World, identity: Held) -> ServerTLS:
    return ServerTLS(ServerIdentity(identity.chain, identity.key), (world.devices.certificate,), ClientAuth.REQUIRED)


FAKES: dict[str, tuple[Callable[[World], Held], str]] = {
    "other-ca": (lambda world: leaf("home", authority("Home root"), SERVER, names=["localhost"]), "unknown-issuer"),
    "self-signed": (lambda world: leaf("home", None, SERVER, names=["localhost"]), "self-signed"),
    "wrong-name": (lambda world: leaf("home", world.root, SERVER, names=["elsewhere"]), "wrong-name"),
    "name-in-subject-alone": (lambda world: leaf("localhost", world.root, SERVER), "wrong-name"),
    "expired": (
        lambda world: leaf("home", world.root, SERVER, names=["localhost"], not_after=NOW - DAY / 2),
        "expired",
    ),
    "not-yet-valid": (
        lambda world: leaf("home", world.root, SERVER, names=["localhost"], not_before=NOW + DAY / 2),
        "not-yet-valid",
    ),
    "a-device-as-server": (lambda world: leaf("home", world.root, CLIENT, names=["localhost"]), "wrong-purpose"),
}


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_home_is_refused_and_the_true_one_is_not(world: World, loop_factory: LoopFactory, name: str) -> None:
    make, word = FAKES[name]
    chain, key = world.device.write(world.folder / "device")
    context = client_context([world.root.certificate], chain_path=chain, key_path=key)

    async def main() -> None:
        async with serving(fake_home(world, make(world))) as server:
            with pytest.raises(ssl.SSLCertVerificationError) as refused:
                await asyncio.to_thread(say, server.port, context)
            assert refusal(refused.value).word == word
            assert (await server.recorder.failure()).reason is HandshakeFailure.PEER_ALERT
            assert server.made.empty()
        async with serving(world.tls()) as server:
            assert await asyncio.to_thread(say, server.port, context) == b"hello"
            assert (await server.recorder.peer()).version == "TLSv1.3"

    run(loop_factory, main())


def test_the_chain_that_was_judged_is_told_whatever_was_shown(world: World, loop_factory: LoopFactory) -> None:
    """Also beyond their time, for whoever judges that alone: the certificates that OpenSSL went by, up to the root."""
    root = world.root.certificate
    over = leaf("home", world.root, SERVER, names=["localhost"], not_after=NOW - DAY / 2)
    stray = authority("Stray").certificate
    context = client_context([root, stray], checks_time=False)

    def judged(port: int) -> tuple[bytes, ...]:
        with connect("127.0.0.1", port, context, "localhost", PATIENCE_S) as connection:
            return verified_chain(connection)

    async def main() -> None:
        shown = ServerTLS(ServerIdentity((over.certificate, stray), over.key), (), ClientAuth.NONE)
        async with serving(shown) as server:
            chain = await asyncio.to_thread(judged, server.port)
        assert chain == tuple(each.public_bytes(Encoding.DER) for each in (over.certificate, root))

    run(loop_factory, main())


def test_the_given_roots_alone_are_trusted(world: World, loop_factory: LoopFactory) -> None:
    """A machine's own store is not asked: it has thousands of names that could sign for our home."""
    context = client_context(authority("Another root").certificate.public_bytes(Encoding.PEM))
    assert len(context.get_ca_certs()) == 1

    async def main() -> None:
        async with serving(world.tls(ClientAuth.NONE)) as server:
            with pytest.raises(ssl.SSLCertVerificationError) as refused:
                await asyncio.to_thread(say, server.port, context)
            assert refusal(refused.value).word == "unknown-issuer"

    run(loop_factory, main())


def test_context_checks_and_offers_what_it_must(world: World) -> None:
    context = client_context(world.root_pem, alpn=["mqtt"])
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("roots", [b"", b"no certificate", b"\xff\xfe", ()], ids=["empty", "text", "bytes", "none"])
def test_without_roots_there_is_no_context(roots: bytes | tuple[()]) -> None:
    with pytest.raises(Fault) as fault:
        client_context(roots)
    assert fault.value.kind is Kind.MISCONFIGURED


def test_a_key_that_cannot_be_used_is_a_fault(world: World, tmp_path: Path) -> None:
    chain, key = world.device.write(tmp_path / "device")
    stranger, _ = leaf("other", None).write(tmp_path / "other")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        world.device.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    )
    for chain_path, key_path, passphrase in (
        (stranger, key, None),
        (chain, tmp_path / "absent.pem", None),
        (chain, locked, None),
        (chain, locked, b"wrong"),
    ):
        with pytest.raises(Fault) as fault:
            client_context(world.root_pem, chain_path=chain_path, key_path=key_path, passphrase=passphrase)
        assert fault.value.kind is Kind.BAD_KEY
    client_context(world.root_pem, chain_path=chain, key_path=locked, passphrase=b"open sesame")


def test_a_refusal_is_read_even_when_the_write_fails_first(world: World, loop_factory: LoopFactory) -> None:
    context = client_context(world.root_pem)

    def write_until_it_fails(port: int) -> str:
        with connect("127.0.0.1", port, context, "localhost", PATIENCE_S) as connection:
            # The server has refused and gone before we write.
            select.select([connection], [], [], PATIENCE_S)
            try:
                while True:
                    connection.sendall(bytes(65_536))
            except OSError as error:
                return last_words(connection, error).word

    async def main() -> None:
        async with serving(world.tls()) as server:
            assert await asyncio.to_thread(write_until_it_fails, server.port) == "alert:certificate_required"

    run(loop_factory, main())


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that is none of ours: says `answer` to whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(PATIENCE_S)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-tls"),
        (b"", "closed"),
        (bytes([21, 3, 3, 0, 2, 2, 80]), "alert:internal_error"),
    ],
    ids=["http", "nothing", "alert"],
)
def test_servers_that_are_no_home_are_named(world: World, answer: bytes, word: str) -> None:
    with answering(answer) as port:
        with pytest.raises(OSError) as refused:
            connect("127.0.0.1", port, client_context(world.root_pem), "localhost", PATIENCE_S)
        assert refusal(refused.value).word == word


def test_nobody_there_and_no_answer_are_named(world: World) -> None:
    context = client_context(world.root_pem)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(OSError) as refused:
            connect("127.0.0.1", port, context, "localhost", 0.05)
        assert refusal(refused.value).word == "timeout"
    with pytest.raises(OSError) as refused:
        connect("127.0.0.1", port, context, "localhost", PATIENCE_S)
    assert refusal(refused.value).word == "unreachable"


def test_a_device_needs_no_binding_to_openssl() -> None:
    program = (
        "import sys, troth.tls.client; sys.exit(any(n.split('.')[0] in {'OpenSSL', 'uvicorn'} for n in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)
