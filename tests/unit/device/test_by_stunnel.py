"""A device whose Python cannot use the engine, before its home and before another; SoftHSM stands for its token."""

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm
from tests.unit.device.gateway import Gateway, gateway
from tests.unit.device.home import Home

from troth.clock import SystemClock
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import Identity, Settings
from troth.device.link import open_link
from troth.device.slot_keys import TokenPlace
from troth.errors import Fault, Kind
from troth.protocols.mqtt import Connect
from troth.tls import token_keys

__all__ = ["softhsm"]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util", "pkcs11-engine", "stunnel")]

PATIENCE_S = 60.0


@pytest.fixture
def identity(home: Home, softhsm: SoftHSM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Identity]:
    """A device with its key in a token, under a Python whose OpenSSL is not the system's."""
    wanted = replace(home.wanted(), place=TokenPlace(softhsm.module, softhsm.pin_file, LABEL))
    made = enroll_by(tmp_path / "identity", wanted, home.answer, SystemClock()).identity
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", "OpenSSL 3.0.0 1 Jan 2020")
    token_keys._libraries.cache_clear()
    yield made
    monkeypatch.undo()
    token_keys._libraries.cache_clear()


def visit(identity: Identity, home: Home, name: str = "localhost") -> Gateway:
    """Publish to a gateway of `home`, which is to be called `name`; return the gateway."""

    async def scene() -> Gateway:
        async with asyncio.timeout(PATIENCE_S), gateway(home) as server:
            endpoint = replace(identity.endpoint, mqtt=Address("127.0.0.1", server.port), server_name=name)
            link = await open_link(replace(identity, settings=Settings(identity.thing, endpoint)), Connect("sender"))
            await link.publish("lamp/reading", b"21.5")
            await link.disconnect()
            return server

    return asyncio.run(scene())


def test_it_is_let_in_and_heard_at_home(identity: Identity, home: Home) -> None:
    assert visit(identity, home).came == [b"21.5"]


def test_it_tells_no_impostor_a_word(identity: Identity, home: Home, other_home: Home) -> None:
    for impostor, name, word in ((other_home, "localhost", "unknown-issuer"), (home, "printer", "wrong-name")):
        with pytest.raises(ConnectionFault) as caught:
            visit(identity, impostor, name)
        assert (caught.value.kind, caught.value.refusal.word) == (Kind.UNAUTHENTICATED, word)


def test_it_goes_by_no_clock_but_the_machines(identity: Identity, home: Home, unused_port: int) -> None:
    """stunnel shows nobody the chain that it has verified: who may not believe his own clock is not to go by it."""
    where = Address("127.0.0.1", unused_port)
    for told in ({"judge": SystemClock()}, {"checks_time": False}):
        with pytest.raises(Fault) as caught:
            dial(where, "localhost", identity.trust, identity.slot, **told)
        assert caught.value.kind is Kind.UNSUPPORTED
        assert "clock" in caught.value.message


def test_without_a_stunnel_it_says_what_would_help(
    identity: Identity, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Fault) as caught:
        dial(Address("127.0.0.1", unused_port), "localhost", identity.trust, identity.slot)
    assert caught.value.kind is Kind.UNSUPPORTED
    assert "stunnel4" in (caught.value.hint or "")
