"""OpenSSL called directly: what is kept between connections is bounded, and nothing that waits is left behind."""

import ssl
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from tests.unit.tls.certificates import leaf
from tests.unit.tls.harness import World

from troth.errors import PeerFault
from troth.tls import engine as module
from troth.tls.engine import BUFFER_BYTES, Engine
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS


class Pair:
    """Both ends of a connection, over memory."""

    def __init__(self, tls: ServerTLS, context: ssl.SSLContext) -> None:
        self.engine = tls.engine
        self.server = tls.connection()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake_hands(self, *, behind: bytes = b"") -> None:
        """Shake hands; the client says `behind` in the same breath as its last message."""
        with pytest.raises(ssl.SSLWantReadError):
            self.client.do_handshake()
        self.engine.put(self.server, self.outgoing.read())
        assert not self.engine.shake_hands(self.server)
        self.incoming.write(self.engine.drain(self.server))
        self.client.do_handshake()
        if behind:
            self.client.write(behind)
        self.engine.put(self.server, self.outgoing.read())
        assert self.engine.shake_hands(self.server)


def test_who_comes_again_is_known_and_no_more_are_than_may_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARSED_KEPT_MAX", 2)
    tls = world.tls()
    held = [leaf(f"lamp-{number}", world.devices) for number in range(3)]
    met = []
    for each in (held[0], held[1], held[0], held[2], held[0], held[1]):
        pair = Pair(tls, world.client(each))
        pair.shake_hands()
        _, certificate = tls.engine.peer_certificate(pair.server)
        assert certificate == each.certificate
        met.append(certificate)
        assert len(tls.engine._parsed) <= 2
    assert met[0] is met[2] is met[4]
    # The one met longest ago went.
    assert met[1] is not met[5]


def test_nobody_is_known_by_nothing(world: World) -> None:
    pair = Pair(world.tls(ClientAuth.NONE), world.client(None))
    pair.shake_hands()
    assert pair.engine.peer_certificate(pair.server) == (None, None)


def test_a_certificate_that_is_read_in_two_ways_is_nobodys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked up by a fingerprint, and what is shown to others, must be the same certificate."""
    pair = Pair(world.tls(), world.client(world.device))
    pair.shake_hands()
    other = world.server.certificate.public_bytes(Encoding.DER)
    monkeypatch.setattr("troth.tls.engine.crypto.dump_certificate", lambda *_: other)
    with pytest.raises(PeerFault, match="two readings"):
        pair.engine.peer_certificate(pair.server)


def test_what_came_behind_the_handshake_is_there_and_whole(world: World) -> None:
    pair = Pair(world.tls(), world.client(world.device))
    pair.shake_hands(behind=b"let me in")
    behind = pair.engine.unread(pair.server)
    assert behind[:3] == b"\x17\x03\x03"
    assert len(behind) == 5 + int.from_bytes(behind[3:5], "big")
    assert pair.engine.read(pair.server) == b"let me in"
    assert pair.engine.unread(pair.server) == b""
    with pytest.raises(SSL.WantReadError):
        pair.engine.read(pair.server)


def test_what_is_longer_than_the_buffer_is_drained_whole(world: World) -> None:
    many = ServerIdentity((*world.server.chain, *[world.root.certificate] * 90), world.server.key)
    pair = Pair(replace(world.tls(), identity=many), world.client(world.device))
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.do_handshake()
    pair.engine.put(pair.server, pair.outgoing.read())
    assert not pair.engine.shake_hands(pair.server)
    flight = pair.engine.drain(pair.server)
    assert len(flight) > BUFFER_BYTES
    assert pair.engine.drain(pair.server) == b""
    pair.incoming.write(flight)
    pair.client.do_handshake()


def test_errors_are_pyopenssls_own(world: World) -> None:
    engine = Engine()
    broken = world.tls().connection()
    engine.put(broken, b"\x16\x03\x01\x00\x10" + b"a" * 16)
    with pytest.raises(SSL.Error, match="unexpected message"):
        engine.shake_hands(broken)
    early = world.tls().connection()
    with pytest.raises(SSL.WantReadError):
        engine.read(early)
    with pytest.raises(SSL.Error):
        engine.seal(early, b"too early")


def test_a_handshakes_buffers_are_given_back(world: World) -> None:
    pair = Pair(world.tls(), world.client(world.device))
    pair.shake_hands()
    # Session numbers, which a gateway does not send.
    pair.incoming.write(pair.engine.drain(pair.server))
    before = pair.server._into_ssl, pair.server._from_ssl
    pair.engine.renew_buffers(pair.server)
    assert pair.server._into_ssl not in before
    assert pair.server._from_ssl not in before
    pair.client.write(b"ping")
    assert pair.engine.open(pair.server, pair.outgoing.read()) == b"ping"
    pair.incoming.write(pair.engine.seal(pair.server, b"pong"))
    assert pair.client.read() == b"pong"


def test_buffers_in_which_something_waits_are_kept(world: World) -> None:
    pair = Pair(world.tls(), world.client(world.device))
    pair.shake_hands(behind=b"ping")
    pair.engine.renew_buffers(pair.server)
    assert pair.engine.read(pair.server) == b"ping"
    pair.server.send(b"pong")
    pair.engine.renew_buffers(pair.server)
    pair.incoming.write(pair.engine.drain(pair.server))
    assert pair.client.read() == b"pong"
