"""Handshakes that end in other ways than by a bad certificate, and what a good one proves."""

import asyncio
import socket
import ssl

import pytest
from tests.unit.tls.certificates import authority, leaf, of_version_five, stolen
from tests.unit.tls.harness import PATIENCE_S, Failure, LoopFactory, World, run, say, serving

from troth.errors import Fault, Kind, PeerFault
from troth.limits import TLS_HANDSHAKE_BYTES_MAX
from troth.tls.client import refusal
from troth.tls.server import ClientAuth, HandshakeFailure, ServerIdentity, ServerTLS

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])


async def raw(port: int, *said: bytes) -> bytes:
    """Send bytes as they are over TCP, each in its own segment, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in said:
        writer.write(part)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def client_hello(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"GET / HTTP/1.1\r\nHost: home\r\n\r\n", r"it begins with b'GET / HT'"),
        (bytes.fromhex("100c00044d5154540402003c0000"), r"it begins with b'\x10\x0c\x00\x04MQTT'"),
        (b"\x16\x05\x01\x00\x10" + bytes(16), "wrong version number"),
        (b"\x80", r"it begins with b'\x80'"),
    ],
    ids=["http", "mqtt", "another-version", "one-byte"],
)
def test_cleartext_is_turned_away(world: World, loop_factory: LoopFactory, said: bytes, shown: str) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            assert await raw(server.port, said) == b""
            assert await server.recorder.failure() == Failure(HandshakeFailure.NOT_TLS, shown)

    run(loop_factory, main())


def test_nonsense_in_tls_records_gets_an_alert(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            answer = await raw(server.port, b"\x16\x03\x01\x00\x10" + b"a" * 16)
            assert answer[0] == 21
            assert answer[-2:] == bytes([2, 10])  # fatal, unexpected_message
            assert await server.recorder.failure() == Failure(HandshakeFailure.OTHER, "unexpected message")

    run(loop_factory, main())


def test_client_hello_of_tls_1_1_alone_is_refused(world: World, loop_factory: LoopFactory) -> None:
    body = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x04\xc0\x0a\xc0\x14" + b"\x01\x00"
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    record = b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello

    async def main() -> None:
        async with serving(world.tls()) as server:
            assert (await raw(server.port, record))[-2:] == bytes([2, 70])  # fatal, protocol_version
            assert await server.recorder.failure() == Failure(
                HandshakeFailure.NO_SHARED_PROTOCOL, "unsupported protocol"
            )

    run(loop_factory, main())


@pytest.mark.parametrize("methods", [b"\x01", b"\x40\x01"], ids=["deflate", "lzs-and-deflate"])
def test_who_knows_nothing_but_compression_is_refused(world: World, loop_factory: LoopFactory, methods: bytes) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            # Fatal, illegal_parameter: every ClientHello must have the null method (RFC 5246, 7.4.1.2).
            assert (await raw(server.port, hello_of_tls_1_2(methods)))[-2:] == bytes([2, 47])
            failure = await server.recorder.failure()
            assert failure == Failure(HandshakeFailure.NO_SHARED_PROTOCOL, "required compression algorithm missing")

    run(loop_factory, main())


def test_nothing_is_compressed_for_who_would_like_it(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls(handshake_s=0.1)) as server:
            answer = await raw(server.port, hello_of_tls_1_2(b"\x01\x00"))
            # ServerHello: after record and message headers, version, random and a session id come suite and method.
            assert answer[:6] == b"\x16\x03\x03" + answer[3:5] + b"\x02"
            session = answer[5 + 4 + 2 + 32]
            suite = 5 + 4 + 2 + 32 + 1 + session
            assert answer[suite : suite + 3] == b"\xc0\x2b\x00"
            assert (await server.recorder.failure()).reason is HandshakeFailure.TIMEOUT

    run(loop_factory, main())


def hello_of_tls_1_2(compression: bytes) -> bytes:
    """Return the record of a ClientHello with these compression methods."""
    groups, algorithms, points = (
        b"\x00\x0a\x00\x04\x00\x02\x00\x17",
        b"\x00\x0d\x00\x04\x00\x02\x04\x03",
        b"\x00\x0b\x00\x02\x01\x00",
    )
    extensions = groups + algorithms + points
    suites = b"\x00\x02\xc0\x2b"
    methods = bytes([len(compression)]) + compression
    body = b"\x03\x03" + bytes(32) + b"\x00" + suites + methods + len(extensions).to_bytes(2, "big") + extensions
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


@pytest.mark.parametrize("kept", [0, 1, 100, None], ids=["nothing", "a-byte", "half-a-hello", "half-a-handshake"])
def test_who_stops_in_the_middle_is_timed_out(world: World, loop_factory: LoopFactory, kept: int | None) -> None:
    said, whole = client_hello(world.client(world.device))[:kept], kept is None

    async def main() -> None:
        async with serving(world.tls(handshake_s=0.05)) as server:
            answer = await raw(server.port, said)
            assert bool(answer) is whole
            assert await server.recorder.failure() == Failure(HandshakeFailure.TIMEOUT, f"after {len(said)} bytes")
            assert len(server.pending) == 0

    run(loop_factory, main())


def test_a_hello_in_single_bytes_is_read(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            hello = client_hello(world.client(world.device))
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for byte in hello:
                writer.write(bytes([byte]))
                await writer.drain()
            assert (await reader.readexactly(1)) == b"\x16"
            writer.close()
            await writer.wait_closed()

    run(loop_factory, main())


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["silent", "three-bytes"])
def test_who_goes_away_is_noted(world: World, loop_factory: LoopFactory, said: bytes) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            writer.close()
            await writer.wait_closed()
            assert await server.recorder.failure() == Failure(HandshakeFailure.PEER_CLOSED, f"after {len(said)} bytes")

    run(loop_factory, main())


@VERSIONS
def test_a_device_that_refuses_us_is_noted_by_its_alert(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    def ask(port: int, context: ssl.SSLContext, server_name: str) -> None:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            context.wrap_socket(plain, server_hostname=server_name)

    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.maximum_version = version
    stranger.load_verify_locations(cadata=pem_of_another_root())

    async def main() -> None:
        async with serving(world.tls()) as server:
            with pytest.raises(ssl.SSLCertVerificationError) as refused:
                await asyncio.to_thread(ask, server.port, stranger, "localhost")
            assert refusal(refused.value).word == "unknown-issuer"
            assert await server.recorder.failure() == Failure(HandshakeFailure.PEER_ALERT, "unknown_ca")
            with pytest.raises(ssl.SSLCertVerificationError) as refused:
                await asyncio.to_thread(ask, server.port, world.client(world.device, version), "fake-home")
            assert refusal(refused.value).word == "wrong-name"
            assert await server.recorder.failure() == Failure(HandshakeFailure.PEER_ALERT, "bad_certificate")

    run(loop_factory, main())


def pem_of_another_root() -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return authority("Another root").certificate.public_bytes(Encoding.PEM).decode()


def test_a_handshake_without_end_is_refused(world: World, loop_factory: LoopFactory) -> None:
    # A ClientHello of the greatest length that OpenSSL would wait for, and not quite all of it.
    hello = b"\x01" + (131_396).to_bytes(3, "big") + b"\x03\x03" + bytes(131_200)
    records = [
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
        for part in (hello[at : at + 16_000] for at in range(0, len(hello), 16_000))
    ]

    async def main() -> None:
        async with serving(world.tls()) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.writelines(records)
            failure = await server.recorder.failure()
            writer.close()
            assert failure == Failure(
                HandshakeFailure.OTHER, f"a handshake of more than {TLS_HANDSHAKE_BYTES_MAX} bytes"
            )

    run(loop_factory, main())


def test_handshakes_above_the_bound_are_refused_at_accept(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls(), pending_max=1) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(client_hello(world.client(world.device)))
            await reader.readexactly(1)
            with pytest.raises(OSError) as refused:
                await asyncio.to_thread(say, server.port, world.client(world.device), b"x")
            assert refusal(refused.value).word in {"reset", "closed"}
            told = await server.recorder.failure()
            assert told.reason is HandshakeFailure.TOO_MANY
            writer.close()
            await writer.wait_closed()
            assert (await server.recorder.failure()).reason is HandshakeFailure.PEER_CLOSED
            assert await asyncio.to_thread(say, server.port, world.client(world.device), b"x") == b"x"

    run(loop_factory, main())


def test_a_refused_peer_keeps_its_place_until_it_is_gone(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await server.recorder.failure()).reason is HandshakeFailure.NOT_TLS
            assert await reader.read() == b""
            assert len(server.pending) == 1
            writer.close()
            await writer.wait_closed()
            # Ours went when the peer went; a whole round trip of another connection has seen to that.
            assert await asyncio.to_thread(say, server.port, world.client(world.device), b"x") == b"x"
            assert len(server.pending) == 0
            await server.recorder.peer()
            assert server.recorder.news.empty()

    run(loop_factory, main())


@VERSIONS
def test_nothing_resumes_a_session(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    context = world.client(world.device, version)

    def meet(port: int, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bool | None]:
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            return connection.session, connection.session_reused

    async def main() -> None:
        async with serving(world.tls()) as server:
            session, reused = await asyncio.to_thread(meet, server.port, None)
            assert session is not None
            for _ in range(2):
                session, reused = await asyncio.to_thread(meet, server.port, session)
                assert reused is False
            for _ in range(3):
                assert (await server.recorder.peer()).certificate == world.device.certificate

    run(loop_factory, main())


@VERSIONS
@pytest.mark.parametrize("client_auth", [ClientAuth.OPTIONAL, ClientAuth.NONE])
def test_where_no_certificate_is_required_one_comes_in_without(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion, client_auth: ClientAuth
) -> None:
    async def main() -> None:
        async with serving(world.tls(client_auth)) as server:
            assert await asyncio.to_thread(say, server.port, world.client(None, version), b"x") == b"x"
            peer = await server.recorder.peer()
            assert peer.certificate is None
            assert peer.chain == ()

    run(loop_factory, main())


@VERSIONS
def test_a_certificate_that_is_not_required_must_still_be_good(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        async with serving(world.tls(ClientAuth.OPTIONAL)) as server:
            for impostor in (leaf("thermostat", None), stolen(world.device)):
                with pytest.raises(ssl.SSLError):
                    await asyncio.to_thread(say, server.port, world.client(impostor, version), b"x")
            assert (await server.recorder.failure()).reason is HandshakeFailure.SELF_SIGNED
            assert (await server.recorder.failure()).reason is HandshakeFailure.BAD_SIGNATURE

    run(loop_factory, main())


def test_the_anchor_alone_decides_who_is_an_impostor(world: World, loop_factory: LoopFactory) -> None:
    """The control of the attacks: a door that trusts the other CA lets its device in, and turns ours away."""
    other = authority("Another home")
    namesake = leaf("thermostat", other)

    async def main() -> None:
        async with serving(world.tls(anchors=(other,))) as server:
            assert await asyncio.to_thread(say, server.port, world.client(namesake), b"x") == b"x"
            with pytest.raises(ssl.SSLError):
                await asyncio.to_thread(say, server.port, world.client(world.device), b"x")
            assert (await server.recorder.peer()).certificate == namesake.certificate
            assert (await server.recorder.failure()).reason is HandshakeFailure.UNKNOWN_ISSUER

    run(loop_factory, main())


@VERSIONS
def test_what_a_handshake_proves(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    device = leaf("thermostat", world.devices, above=(world.devices.certificate,))
    context = world.client(device, version)
    context.set_alpn_protocols(["mqtt", "other"])

    async def main() -> None:
        async with serving(world.tls(alpn=("http/1.1", "mqtt"), anchors=(world.root,))) as server:
            assert await asyncio.to_thread(say, server.port, context, b"x") == b"x"
            peer = await server.recorder.peer()
            assert peer.certificate == device.certificate
            assert peer.chain == (device.certificate, world.devices.certificate)
            assert peer.version == ("TLSv1.3" if version == TLS13 else "TLSv1.2")
            assert peer.cipher == ("TLS_AES_128_GCM_SHA256" if version == TLS13 else "ECDHE-ECDSA-AES128-GCM-SHA256")
            assert peer.server_name == "localhost"
            assert peer.alpn == "mqtt"
            exported = peer.export("EXPORTER-Channel-Binding", 32)
            assert len(exported) == 32
            assert exported != peer.export("EXPORTER-Channel-Binding", 32, b"other")
            echo = await server.made.get()
            assert echo.transport.get_extra_info("tls") is peer
            assert echo.transport.get_extra_info("peername")[0] == "127.0.0.1"
            assert echo.transport.get_extra_info("sockname")[1] == server.port
            await echo.lost

    run(loop_factory, main())


@VERSIONS
def test_a_peer_that_speaks_other_protocols_is_refused(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    context = world.client(world.device, version)
    context.set_alpn_protocols(["ftp"])

    async def main() -> None:
        async with serving(world.tls(alpn=("mqtt",))) as server:
            with pytest.raises(ssl.SSLError) as refused:
                await asyncio.to_thread(say, server.port, context, b"x")
            assert refusal(refused.value).word == "alert:no_application_protocol"
            assert await server.recorder.failure() == Failure(
                HandshakeFailure.NO_SHARED_PROTOCOL, "no application protocol"
            )
            silent = world.client(world.device, version)
            assert await asyncio.to_thread(say, server.port, silent, b"x") == b"x"
            assert (await server.recorder.peer()).alpn is None

    run(loop_factory, main())


@VERSIONS
def test_a_certificate_that_we_cannot_read_is_refused(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    chain, key = world.device.write(world.folder / f"version-five-{version}")
    chain.write_text(ssl.DER_cert_to_PEM_cert(of_version_five(world.device, world.devices)))
    context = world.client(None, version)
    context.load_cert_chain(chain, key)

    async def main() -> None:
        async with serving(world.tls()) as server:
            assert await asyncio.to_thread(say, server.port, context, b"x") == b""
            unreadable = "a certificate of the peer cannot be read: 4 is not a valid X509 version"
            assert await server.recorder.failure() == Failure(HandshakeFailure.OTHER, unreadable)
            assert server.made.empty()

    run(loop_factory, main())


def test_above_its_own_a_peer_may_present_what_cannot_be_read(world: World, loop_factory: LoopFactory) -> None:
    chain, key = world.device.write(world.folder / "version-five-above")
    with chain.open("a") as more:
        more.write(ssl.DER_cert_to_PEM_cert(of_version_five(world.device, world.devices)))
    context = world.client(None)
    context.load_cert_chain(chain, key)

    async def main() -> None:
        async with serving(world.tls()) as server:
            assert await asyncio.to_thread(say, server.port, context, b"x") == b"x"
            peer = await server.recorder.peer()
            assert peer.certificate == world.device.certificate
            with pytest.raises(PeerFault) as fault:
                _ = peer.chain
            assert fault.value.kind is Kind.MALFORMED

    run(loop_factory, main())


def test_a_server_is_not_made_of_parts_that_do_not_fit(world: World) -> None:
    anchors = (world.devices.certificate,)
    with pytest.raises(Fault) as wrong_key:
        ServerTLS(ServerIdentity(world.server.chain, world.device.key), anchors, ClientAuth.REQUIRED)
    assert wrong_key.value.kind is Kind.BAD_KEY
    with pytest.raises(Fault) as no_anchor:
        ServerTLS(ServerIdentity(world.server.chain, world.server.key), (), ClientAuth.OPTIONAL)
    assert no_anchor.value.kind is Kind.MISCONFIGURED
    with pytest.raises(Fault) as no_certificate:
        ServerTLS(ServerIdentity((), world.server.key), anchors, ClientAuth.REQUIRED)
    assert no_certificate.value.kind is Kind.MISCONFIGURED
