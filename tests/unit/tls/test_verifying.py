"""Who asks whom about a certificate: OpenSSL decides, and Python is told of refusals only."""

import ssl
from collections.abc import Callable

import pytest
from OpenSSL import SSL
from tests.unit.tls.certificates import Held, authority, leaf
from tests.unit.tls.harness import World

from troth.tls.verifying import Chain, hear_refusals

MODE = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
Callback = Callable[[SSL.Connection, int, int, Chain], bool]


def shake_hands(world: World, device: Held, callback: Callback) -> None:
    """Raise what the server makes of it."""
    tls = world.tls()
    hear_refusals(tls.context, MODE, callback)
    server = tls.connection()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = world.client(device).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    server.bio_write(outgoing.read())
    with pytest.raises(SSL.WantReadError):
        server.do_handshake()
    incoming.write(server.bio_read(32_768))
    client.do_handshake()
    server.bio_write(outgoing.read())
    server.do_handshake()


def test_nobody_is_asked_about_what_is_accepted(world: World) -> None:
    def never(*_: object) -> bool:
        raise AssertionError

    shake_hands(world, world.device, never)


def test_a_refusal_is_told_once_and_stands(world: World) -> None:
    stranger = leaf("thermostat", authority("Home devices"))
    heard: list[tuple[int, int]] = []

    def heed(_connection: SSL.Connection, error: int, depth: int, chain: Chain) -> bool:
        heard.append((error, depth))
        assert chain() == (stranger.certificate,)
        return False

    with pytest.raises(SSL.Error, match="certificate verify failed"):
        shake_hands(world, stranger, heed)
    assert heard == [(SSL.X509VerificationCodes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 0)]


def test_an_error_on_the_way_refuses(world: World) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        shake_hands(world, leaf("thermostat", authority("Home devices")), broken)
