import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from cryptography import x509
from tests.fixtures.est_door import ESTDoor, Reply, est_door
from tests.unit.device.home import THING, TOKEN, Home, Honest

from troth.clock import SystemClock
from troth.device.connection import ConnectionFault
from troth.device.endpoint import Address
from troth.device.enroll import enroll
from troth.device.est import ESTServer
from troth.errors import Fault, Kind, PeerFault
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.limits import EST_CERTIFICATES_BYTES_MAX
from troth.protocols import problem
from troth.protocols.est import parse_body
from troth.x509.algorithms import KeyAlgorithm


@pytest.fixture(scope="module")
def door(home: Home) -> Iterator[ESTDoor]:
    with est_door(home.server.chain_file, home.server.key_file, Honest(home)) as door:
        yield door


@pytest.fixture
def says(door: ESTDoor) -> Iterator[Callable[[Reply], None]]:
    """Make the door give one reply to everything, for one test."""
    honest = door.replies

    def say(reply: Reply) -> None:
        door.replies = lambda _asked: reply

    yield say
    door.replies = honest


@pytest.fixture
def server(door: ESTDoor, home: Home) -> ESTServer:
    return ESTServer(Address("127.0.0.1", door.port), "home.example", (home.root,))


def ask(server: ESTServer) -> tuple[x509.Certificate, ...]:
    return server.simple_enroll(build_request(generate(KeyAlgorithm.P256), THING), THING, TOKEN)


def test_a_request_travels_as_est_says(server: ESTServer, door: ESTDoor, home: Home) -> None:
    key = generate(KeyAlgorithm.P256)
    der = build_request(key, THING)
    (certificate,) = server.simple_enroll(der, THING, TOKEN)
    assert certificate.public_key() == key.public_key
    asked = door.asked[-1]
    assert parse_body(asked.body) == der
    assert b"\n" not in asked.body
    assert asked.headers["content-type"] == "application/pkcs10"
    assert asked.headers["host"] == f"home.example:{door.port}"


def test_the_issuers_are_fetched(server: ESTServer, home: Home) -> None:
    assert set(server.ca_certificates()) == set(home.issuers)


def test_a_device_enrolls_over_est(tmp_path: Path, door: ESTDoor, home: Home) -> None:
    wanted = home.wanted(est=Address("localhost", door.port))
    identity = enroll(tmp_path / "identity", wanted, TOKEN, SystemClock()).identity
    assert identity.chain[1:] == (home.maker.devices.certificate,)


def test_a_wrong_token_is_said_in_the_homes_words(tmp_path: Path, door: ESTDoor, home: Home) -> None:
    wanted = home.wanted(est=Address("localhost", door.port))
    with pytest.raises(Fault, match="the home refused: the token is not known") as caught:
        enroll(tmp_path / "identity", wanted, "wrong", SystemClock())
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.hint == "make another"


def test_a_server_of_another_home_never_sees_the_token(door: ESTDoor, other_home: Home) -> None:
    door.asked.clear()
    server = ESTServer(Address("127.0.0.1", door.port), "home.example", (other_home.root,))
    with pytest.raises(ConnectionFault, match="CA that this device does not trust") as caught:
        ask(server)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.refusal.word in {"unknown-issuer", "self-signed", "bad-signature"}
    assert not door.asked


def test_a_server_of_another_name_never_sees_the_token(door: ESTDoor, home: Home) -> None:
    door.asked.clear()
    server = ESTServer(Address("127.0.0.1", door.port), "bank.example", (home.root,))
    with pytest.raises(ConnectionFault, match="for another name") as caught:
        ask(server)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert caught.value.refusal.word == "wrong-name"
    assert not door.asked


def test_a_device_of_the_same_home_is_no_server(home: Home) -> None:
    own = home.device("localhost")
    with est_door(own.chain_file, own.key_file, Honest(home)) as door:
        server = ESTServer(Address("127.0.0.1", door.port), "localhost", (home.root,))
        with pytest.raises(ConnectionFault, match="not that of a server") as caught:
            ask(server)
        assert caught.value.kind is Kind.UNAUTHENTICATED
        assert not door.asked


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Kind.MALFORMED),
        (401, Kind.UNAUTHENTICATED),
        (403, Kind.FORBIDDEN),
        (404, Kind.NOT_FOUND),
        (409, Kind.CONFLICT),
        (413, Kind.TOO_LARGE),
        (418, Kind.UNAVAILABLE),
        (422, Kind.REJECTED),
        (429, Kind.RATE_LIMITED),
        (500, Kind.MISCONFIGURED),
        (502, Kind.UNAVAILABLE),
        (503, Kind.UNAVAILABLE),
    ],
)
def test_a_status_without_words_has_a_kind(
    server: ESTServer, says: Callable[[Reply], None], status: int, kind: Kind
) -> None:
    says(Reply(status, b"<html>sorry</html>"))
    with pytest.raises(Fault) as caught:
        ask(server)
    assert caught.value.kind is kind
    assert str(status) in caught.value.message


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("30", 30.0), ("0", 0.0), ("9" * 9, 7 * 86_400.0), ("9" * 10, None), ("-1", None), ("Fri, 31 Dec 1999", None)],
)
@pytest.mark.parametrize("status", [202, 429, 503])
def test_when_to_come_again_is_told_and_bounded(
    server: ESTServer, says: Callable[[Reply], None], status: int, header: str, wait_s: float | None
) -> None:
    says(Reply(status, b"", {"Retry-After": header}))
    with pytest.raises(Fault) as caught:
        ask(server)
    assert caught.value.retry_after == wait_s


def test_a_request_that_waits_for_approval_is_no_refusal(server: ESTServer, says: Callable[[Reply], None]) -> None:
    says(Reply(202, b"", {"Retry-After": "60"}))
    with pytest.raises(Fault, match="approve") as caught:
        ask(server)
    assert caught.value.kind is Kind.UNAVAILABLE


def test_a_redirect_is_not_followed(server: ESTServer, door: ESTDoor, says: Callable[[Reply], None]) -> None:
    door.asked.clear()
    says(Reply(302, b"", {"Location": "https://bank.example/"}))
    with pytest.raises(PeerFault, match="302"):
        ask(server)
    assert len(door.asked) == 1


def test_what_the_home_says_cannot_write_to_the_terminal(server: ESTServer, says: Callable[[Reply], None]) -> None:
    says(Reply(403, json.dumps({"detail": "no\x1b[2J\nway"}).encode(), {"Content-Type": problem.CONTENT_TYPE}))
    with pytest.raises(Fault) as caught:
        ask(server)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"no base64!"),
        Reply(200, b"AAAA"),
        Reply(200, b"A" * (EST_CERTIFICATES_BYTES_MAX + 1)),
        Reply(500, b"x" * (EST_CERTIFICATES_BYTES_MAX + 1)),
        Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
        Reply(raw=b""),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
        Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=range(11),
)
def test_an_answer_that_is_none_is_the_servers_fault(
    server: ESTServer, says: Callable[[Reply], None], reply: Reply
) -> None:
    says(reply)
    with pytest.raises(Fault) as caught:
        ask(server)
    assert caught.value.kind in {Kind.MALFORMED, Kind.TOO_LARGE, Kind.UNAVAILABLE}


def test_where_nobody_listens_it_is_said_where(home: Home, unused_port: int) -> None:
    server = ESTServer(Address("127.0.0.1", unused_port), "home.example", (home.root,))
    with pytest.raises(ConnectionFault, match=f"127.0.0.1:{unused_port}: it cannot be reached") as caught:
        ask(server)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.hint


def test_what_does_not_speak_tls_is_said(home: Home) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), _Smtp) as plain:
        thread = threading.Thread(target=plain.serve_forever, args=(0.01,))
        thread.start()
        server = ESTServer(Address("127.0.0.1", plain.server_address[1]), "home.example", (home.root,))
        with pytest.raises(ConnectionFault, match="does not speak TLS") as caught:
            ask(server)
        plain.shutdown()
        thread.join()
    assert caught.value.kind is Kind.UNSUPPORTED


class _Smtp(StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 home.example ready\r\n")
        self.rfile.read(1)
