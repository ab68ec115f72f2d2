"""A key in a token used for TLS by stunnel: the real one, before our own server; SoftHSM stands for the token."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.softhsm import PIN, SoftHSM, softhsm
from tests.unit.tls.certificates import CLIENT, DAY, NOW, SERVER, authority, leaf
from tests.unit.tls.harness import Failure, World, run, serving

from troth.errors import Fault, Kind
from troth.keys.pkcs11.uri import parse_token_uri
from troth.tls.stunnel import NoTunnel, open_tunnel
from troth.tls.token_keys import TokenKeyAccess
from troth.x509.algorithms import KeyAlgorithm, PublicKey

__all__ = ["softhsm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util", "pkcs11-engine", "stunnel")]

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Elsewhere:
    """A key of which only the public half is here."""

    public: PublicKey

    def public_key(self) -> PublicKey:
        return self.public


@dataclass(frozen=True)
class Device:
    """A device's own chain, and how to get at its key."""

    world: World
    chain_file: Path
    access: TokenKeyAccess

    def open(
        self,
        port: int,
        server_name: str = "localhost",
        *,
        root: x509.Certificate | None = None,
        pin: str = PIN,
        patience_s: float = PATIENCE_S,
    ) -> socket.socket:
        """Come to a server at `port`, as who is the world's device."""
        roots = [root or self.world.root.certificate]
        access = replace(self.access, pin=pin)
        return open_tunnel("127.0.0.1", port, server_name, roots, self.chain_file, access, patience_s)


@pytest.fixture
def device(world: World, softhsm: SoftHSM, tmp_path: Path) -> Device:
    uri = softhsm.uri("lamp")
    key = softhsm.access().make(parse_token_uri(uri), KeyAlgorithm.P256)
    certified = leaf("lamp-1", world.devices, CLIENT, key=Elsewhere(key.public_key))  # type: ignore[arg-type]
    chain_file = tmp_path / "chain.pem"
    chain = (certified.certificate, world.devices.certificate)
    chain_file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in chain))
    return Device(world, chain_file, TokenKeyAccess(softhsm.module, uri, PIN))


def met(world: World, act: Callable[[int], Any]) -> tuple[Any, Any]:
    """Return what becomes of a client that comes to our server, and what the server is told of it."""

    async def main() -> None:
        async with serving(world.tls()) as server:
            came.append(await asyncio.to_thread(act, server.port))
            came.append(await server.recorder.news.get())

    came: list[Any] = []
    run(asyncio.new_event_loop, main())
    return came[0], came[1]


def children() -> set[int]:
    """Return the processes that this one has started."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(each) for task in tasks for each in (task / "children").read_text().split()}


def refused(device: Device, world: World, **told: Any) -> str:
    """Return for which reason the device will not have the server of `world`."""

    def act(port: int) -> str:
        with pytest.raises(NoTunnel) as caught:
            device.open(port, **told)
        return caught.value.refusal.word

    word, failure = met(world, act)
    assert isinstance(failure, Failure)
    return str(word)


def test_it_shows_the_chain_proves_the_key_and_carries_what_is_said(device: Device) -> None:
    def act(port: int) -> bytes:
        with device.open(port) as stream:
            stream.sendall(b"hello")
            return stream.recv(100)

    answer, peer = met(device.world, act)
    assert answer == b"hello"
    assert peer.chain[0].public_bytes(Encoding.PEM) in device.chain_file.read_bytes()


def test_it_ends_with_the_socket_and_the_socket_with_it(device: Device) -> None:
    def act(port: int) -> None:
        before = children()
        with device.open(port) as stream:
            (pid,) = children() - before
            os.kill(pid, signal.SIGKILL)
            assert stream.recv(1) == b""
        with device.open(port):
            (pid,) = children() - before - {pid}
            process = os.pidfd_open(pid)
        assert select.select([process], [], [], PATIENCE_S)[0] == [process]
        os.close(process)

    met(device.world, act)


def test_impostors_are_refused_before_a_byte_is_said(device: Device) -> None:
    world, another = device.world, authority("Home root").certificate
    assert refused(device, world, root=another) == "unknown-issuer"
    assert refused(device, world, server_name="printer.example") == "wrong-name"
    assert refused(device, world, server_name="127.0.0.1") == "wrong-name"
    servers = authority("Home servers", world.root)
    above = (servers.certificate,)
    no_server = leaf("home", servers, CLIENT, names=["localhost"], above=above)
    assert refused(device, replace(world, server=no_server)) == "wrong-purpose"
    over = leaf("home", servers, SERVER, names=["localhost"], above=above, not_after=NOW - DAY / 2)
    assert refused(device, replace(world, server=over)) == "expired"
    early = leaf("home", servers, SERVER, names=["localhost"], above=above, not_before=NOW + DAY / 2)
    assert refused(device, replace(world, server=early)) == "not-yet-valid"


def test_nobody_there_and_a_key_that_cannot_be_used_are_told_apart(device: Device) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NoTunnel) as caught:
        device.open(port)
    assert caught.value.refusal.word == "unreachable"
    with pytest.raises(Fault) as fault:
        device.open(port, pin="wrong")
    assert fault.value.kind is Kind.UNAVAILABLE
    assert "wrong" not in str(fault.value) + (fault.value.detail or "")


def test_who_does_not_answer_is_not_waited_for_for_ever(device: Device) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(NoTunnel) as caught:
        device.open(mute.getsockname()[1], patience_s=0.1)
    assert caught.value.refusal.word == "timeout"


def test_nothing_can_be_slipped_into_what_it_is_told(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    for pin, name in ((f"{PIN}\nverifyChain = no", "localhost"), (PIN, "localhost\rsni = printer.example")):
        with pytest.raises(Fault) as caught:
            device.open(1, name, pin=pin)
        assert caught.value.kind is Kind.MISCONFIGURED
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Fault) as caught:
        device.open(1)
    assert caught.value.kind is Kind.UNSUPPORTED
