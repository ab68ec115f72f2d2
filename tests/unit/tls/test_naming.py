"""Several certificates at one door: the name that a peer asks for chooses what it is shown, and nothing else."""

import asyncio
import gc
import socket
import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from tests.unit.tls.certificates import SERVER, authority, leaf, stolen
from tests.unit.tls.harness import PATIENCE_S, Failure, LoopFactory, World, run, serving

from troth.tls.client import refusal
from troth.tls.naming import dns_names
from troth.tls.server import ClientAuth, HandshakeFailure, ServerIdentity, ServerTLS

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])

pytestmark = pytest.mark.slow

OTHERS = authority("A public CA")
OTHER = leaf("other", OTHERS, SERVER, names=["Iot.Example.org", "*.wild.example.org"])
THIRD = leaf("third", OTHERS, SERVER, names=["third.example.org"])


def door(world: World, **settings: object) -> ServerTLS:
    named = tuple(ServerIdentity(each.chain, each.key) for each in (OTHER, THIRD))
    return replace(world.tls(), named=named, **settings)  # type: ignore[arg-type] # whatever a test wants


def meet(port: int, context: ssl.SSLContext, name: str | None) -> x509.Certificate:
    """Return what the server shows to who asks for `name`, once it has answered."""
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(b"x")
        if connection.recv(1) != b"x":
            raise ConnectionAbortedError
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


@VERSIONS
def test_the_name_chooses_the_certificate(world: World, loop_factory: LoopFactory, version: ssl.TLSVersion) -> None:
    cases = {
        "localhost": world.server,
        "iot.example.org": OTHER,
        "IOT.example.ORG": OTHER,
        "a.wild.example.org": OTHER,
        "third.example.org": THIRD,
        "nobody.example.org": world.server,
        "a.b.wild.example.org": world.server,
        "wild.example.org": world.server,
        None: world.server,
    }

    async def main() -> None:
        async with serving(door(world)) as server:
            for name, held in cases.items():
                context = world.client(world.device, version)
                assert await asyncio.to_thread(meet, server.port, context, name) == held.certificate, name
                peer = await server.recorder.peer()
                assert (peer.server_name, peer.certificate) == (name, world.device.certificate)

    run(loop_factory, main())


@VERSIONS
@pytest.mark.parametrize("name", ["localhost", "iot.example.org", "third.example.org"])
def test_what_is_demanded_is_the_same_under_every_name(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion, name: str
) -> None:
    """OpenSSL carries no verification from one context to the next by itself."""
    impostors = {
        HandshakeFailure.NO_CERTIFICATE: None,
        HandshakeFailure.UNKNOWN_ISSUER: leaf("thermostat", authority("Home devices")),
        HandshakeFailure.WRONG_PURPOSE: leaf("thermostat", world.devices, SERVER),
        HandshakeFailure.SELF_SIGNED: leaf("thermostat", None),
        HandshakeFailure.BAD_SIGNATURE: stolen(world.device),
    }

    async def main() -> None:
        async with serving(door(world, alpn=("mqtt",))) as server:
            for reason, held in impostors.items():
                with pytest.raises(OSError):
                    await asyncio.to_thread(meet, server.port, world.client(held, version), name)
                assert (await server.recorder.failure()).reason is reason
            ftp = world.client(world.device, version)
            ftp.set_alpn_protocols(["ftp"])
            with pytest.raises(ssl.SSLError) as refused:
                await asyncio.to_thread(meet, server.port, ftp, name)
            assert refusal(refused.value).word == "alert:no_application_protocol"
            assert (await server.recorder.failure()).reason is HandshakeFailure.NO_SHARED_PROTOCOL
            assert server.made.qsize() == 0
            await asyncio.to_thread(meet, server.port, world.client(world.device, version), name)
            assert server.made.qsize() == 1

    run(loop_factory, main())


@VERSIONS
def test_a_door_may_refuse_names_that_it_does_not_have(
    world: World, loop_factory: LoopFactory, version: ssl.TLSVersion
) -> None:
    async def main() -> None:
        for tls in (door(world, refuses_unknown_names=True), replace(world.tls(), refuses_unknown_names=True)):
            async with serving(tls) as server:
                with pytest.raises(ssl.SSLError) as refused:
                    await asyncio.to_thread(meet, server.port, world.client(world.device, version), "fake-home")
                assert refusal(refused.value).word == "alert:unrecognized_name"
                assert await server.recorder.failure() == Failure(
                    HandshakeFailure.UNKNOWN_SERVER_NAME, "callback failed"
                )
                for name in ("localhost", None):
                    await asyncio.to_thread(meet, server.port, world.client(world.device, version), name)

    run(loop_factory, main())


def test_a_connection_outlives_the_door_that_it_came_through(world: World, loop_factory: LoopFactory) -> None:
    """The context that it began in is another one's than the one that it goes on in."""

    async def main() -> None:
        async with serving(door(world)) as server:
            context = world.client(world.device)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=context, server_hostname="iot.example.org"
            )
            server.acceptor = replace(server.acceptor, tls=world.tls())
            gc.collect()
            for word in (b"one", b"two"):
                writer.write(word)
                assert await reader.readexactly(3) == word
            writer.close()

    run(loop_factory, main())


def test_one_that_names_nobody_is_shown_to_nobody(world: World, loop_factory: LoopFactory) -> None:
    nameless = leaf("iot.example.org", OTHERS, SERVER)
    assert dns_names(nameless.certificate) == ()
    named = (ServerIdentity(nameless.chain, nameless.key),)

    async def main() -> None:
        async with serving(replace(world.tls(ClientAuth.NONE), named=named)) as server:
            shown = await asyncio.to_thread(meet, server.port, world.client(None), "iot.example.org")
            assert shown == world.server.certificate

    run(loop_factory, main())
