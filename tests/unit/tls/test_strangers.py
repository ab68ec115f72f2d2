"""Clients that are not ours: OpenSSL's and GnuTLS's programs, as an operator or an attacker runs them."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.tls.certificates import Held, authority, leaf, stolen
from tests.unit.tls.harness import Failure, LoopFactory, World, run, serving

from troth.tls.server import HandshakeFailure

pytestmark = pytest.mark.slow

VERSIONS = ["1_2", "1_3"]


async def program(*command: str | Path, said: bytes = b"", stays: bool = False) -> str:
    """Run a client to its end, with `said` on its standard input; return all that it printed.

    One that `stays` does not see the end of its input, and ends when the server does.
    """

    def speak() -> str:
        pipe, output = subprocess.PIPE, subprocess.STDOUT
        with subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, stderr=output) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            running.stdin.write(said)
            running.stdin.flush()
            if not stays:
                running.stdin.close()
            return running.stdout.read().decode(errors="replace")

    return await asyncio.to_thread(speak)


def s_client(world: World, port: int, held: Held | None, *more: str) -> Sequence[str | Path]:
    command: list[str | Path] = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"]
    command += ["-CAfile", world.folder / "root.pem", "-verify_return_error", *more]
    if held is not None:
        chain, key = held.write(world.folder / f"s_client-{held.certificate.serial_number:x}")
        command += ["-cert", chain, "-key", key]
    return command


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_comes_in_and_impostors_read_their_alert(world: World, loop_factory: LoopFactory, version: str) -> None:
    refusals = [
        (None, "certificate required" if version == "1_3" else "handshake failure", HandshakeFailure.NO_CERTIFICATE),
        (leaf("thermostat", authority("Another home")), "unknown ca", HandshakeFailure.UNKNOWN_ISSUER),
        (stolen(world.device), "decrypt error", HandshakeFailure.BAD_SIGNATURE),
    ]

    async def main() -> None:
        async with serving(world.tls()) as server:
            for held, alert, reason in refusals:
                shown = await program(
                    *s_client(world, server.port, held, f"-tls{version}"), said=b"let me in\n", stays=True
                )
                assert f"alert {alert}" in shown
                assert (await server.recorder.failure()).reason is reason
            command = s_client(world, server.port, world.device, f"-tls{version}", "-quiet")
            talk = asyncio.create_task(program(*command, said=b"let me in\n", stays=True))
            echo = await server.made.get()
            assert (await server.recorder.peer()).certificate == world.device.certificate
            await echo.heard(b"\n")
            echo.transport.close()
            assert "let me in" in await talk

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_openssl_that_knows_no_more_than_tls_1_1_is_refused(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
            shown = await program(*s_client(world, server.port, world.device, *old))
            assert "alert protocol version" in shown
            assert await server.recorder.failure() == Failure(
                HandshakeFailure.NO_SHARED_PROTOCOL, "unsupported protocol"
            )

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_openssl_with_weak_ciphers_alone_is_refused(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            # Forward secret, but neither GCM nor ChaCha20.
            weak = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"]
            shown = await program(*s_client(world, server.port, world.device, *weak))
            assert "alert handshake failure" in shown
            assert await server.recorder.failure() == Failure(HandshakeFailure.NO_SHARED_PROTOCOL, "no shared cipher")

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_openssl_without_a_cipher_of_ours_is_refused(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            other = ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"]
            shown = await program(*s_client(world, server.port, world.device, *other))
            assert "alert handshake failure" in shown
            assert await server.recorder.failure() == Failure(HandshakeFailure.NO_SHARED_PROTOCOL, "no shared cipher")

    run(loop_factory, main())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", VERSIONS)
def test_openssl_that_speaks_another_protocol_is_refused(world: World, loop_factory: LoopFactory, version: str) -> None:
    async def main() -> None:
        async with serving(world.tls(alpn=("mqtt", "x-amzn-mqtt-ca"))) as server:
            for said, agreed in (("http/1.1", None), ("http/1.1,x-amzn-mqtt-ca", "x-amzn-mqtt-ca"), ("mqtt", "mqtt")):
                command = s_client(world, server.port, world.device, f"-tls{version}", "-alpn", said)
                talk = asyncio.create_task(program(*command, stays=True))
                if agreed is None:
                    assert "alert no application protocol" in await talk
                    failure = await server.recorder.failure()
                    assert failure.reason is HandshakeFailure.NO_SHARED_PROTOCOL
                else:
                    assert (await server.recorder.peer()).alpn == agreed
                    (await server.made.get()).transport.close()
                    assert f"ALPN protocol: {agreed}" in await talk

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_nobody_renegotiates(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            shown = await program(*s_client(world, server.port, world.device, "-tls1_2"), said=b"R\n", stays=True)
            assert "RENEGOTIATING" in shown
            assert "no renegotiation" in shown
            assert (await server.recorder.peer()).version == "TLSv1.2"
            echo = await server.made.get()
            await echo.lost
            assert echo.received == b""

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_a_key_update_is_answered(world: World, loop_factory: LoopFactory) -> None:
    def update_and_speak(port: int) -> None:
        command = list(map(str, s_client(world, port, world.device, "-tls1_3")))
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, bufsize=0) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            shown = b""
            # K: new keys, and the server is asked for new ones too.
            for said, answer in ((b"one\n", b"one\n"), (b"K\n", b"KEYUPDATE"), (b"two\n", b"two\n")):
                running.stdin.write(said)
                while answer not in shown:
                    more = running.stdout.read(4096)
                    assert more, shown
                    shown += more
            running.stdin.close()
            running.stdout.read()

    async def main() -> None:
        async with serving(world.tls()) as server:
            await asyncio.to_thread(update_and_speak, server.port)
            echo = await server.made.get()
            assert await echo.lost is None
            assert echo.received == b"one\ntwo\n"

    run(loop_factory, main())


@pytest.mark.needs("openssl")
def test_a_device_without_aes_gets_chacha(world: World, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with serving(world.tls()) as server:
            for order in ("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"):
                command = s_client(world, server.port, world.device, "-tls1_3", "-ciphersuites", order)
                talk = asyncio.create_task(program(*command, stays=True))
                assert (await server.recorder.peer()).cipher == order.split(":")[0]
                (await server.made.get()).transport.close()
                await talk

    run(loop_factory, main())


@pytest.mark.needs("gnutls-cli")
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_comes_in_and_without_a_certificate_does_not(
    world: World, loop_factory: LoopFactory, version: str
) -> None:
    chain, key = world.device.write(world.folder / f"gnutls-{version}")

    def client(port: int) -> list[str | Path]:
        priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
        command: list[str | Path] = ["gnutls-cli", "--port", str(port), "--priority", priority]
        names = ["--sni-hostname=localhost", "--verify-hostname=localhost"]
        return [*command, *names, "--x509cafile", world.folder / "root.pem", "127.0.0.1"]

    async def main() -> None:
        async with serving(world.tls()) as server:
            shown = await program(*client(server.port), said=b"let me in\n")
            alert = "Certificate is required" if version == "1.3" else "Handshake failed"
            assert alert in shown
            assert (await server.recorder.failure()).reason is HandshakeFailure.NO_CERTIFICATE
            mine: list[str | Path] = ["--x509certfile", chain, "--x509keyfile", key]
            shown = await program(*client(server.port)[:-1], *mine, "127.0.0.1", said=b"let me in\n")
            assert "Handshake was completed" in shown
            assert (await server.recorder.peer()).certificate == world.device.certificate
            echo = await server.made.get()
            assert await echo.lost is None
            assert echo.received == b"let me in\n"

    run(loop_factory, main())
