"""The HTTP doors behind load balancers: a header of a listed one is taken, demanded, and believed of nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.balancers import LISTED, all_that_comes, dial, haproxy, header
from tests.fixtures.doors import RunningDoors, curl

from troth.testing.authority import TestAuthority
from troth.tls.client import client_context
from troth.tls.server import HandshakeFailure

GET = b"GET /nothing HTTP/1.1\r\nHost: home.example\r\nConnection: close\r\n\r\n"


@pytest.fixture
def fronted(live_authority: TestAuthority, tmp_path: Path) -> Iterator[RunningDoors]:
    running = RunningDoors(live_authority, tmp_path / "bell", balancers=[LISTED])
    yield running
    running.close()


def test_the_public_door(fronted: RunningDoors) -> None:
    with dial(fronted.public) as plain:
        plain.sendall(header("192.0.2.7", 4711) + GET)
        assert all_that_comes(plain).startswith(b"HTTP/1.1 404")
    for said in (GET, b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 8080\r\n" + GET):
        with dial(fronted.public) as plain:
            plain.sendall(said)
            assert all_that_comes(plain) == b""
    assert fronted.observer.failures == [HandshakeFailure.PROXY_HEADER] * 2
    with dial(fronted.public, source="127.0.0.1") as plain:
        plain.sendall(GET)
        assert all_that_comes(plain).startswith(b"HTTP/1.1 404")
    with dial(fronted.public, source="127.0.0.1") as plain:
        plain.sendall(header("192.0.2.7", 4711) + GET)
        # It reads as empty lines and a request line that is none.
        assert all_that_comes(plain).startswith(b"HTTP/1.1 400")


def test_the_https_door(fronted: RunningDoors) -> None:
    plain = dial(fronted.https)
    plain.sendall(header("2001:db8::7", 4711))
    with client_context([fronted.site.root]).wrap_socket(plain, server_hostname="localhost") as talk:
        talk.sendall(GET)
        assert all_that_comes(talk).startswith(b"HTTP/1.1 404")
    for source, said in ((LISTED, b"\x16\x03\x01"), ("127.0.0.1", header("192.0.2.7", 4711))):
        with dial(fronted.https, source=source) as plain:
            plain.sendall(said)
            assert all_that_comes(plain) == b""
    assert fronted.observer.failures == [HandshakeFailure.PROXY_HEADER, HandshakeFailure.NOT_TLS]


@pytest.mark.needs("haproxy", "curl")
def test_curl_through_haproxy(fronted: RunningDoors, tmp_path: Path) -> None:
    with haproxy(tmp_path, fronted.https) as port:
        answer = curl(f"https://localhost:{port}/.well-known/est/cacerts", root=fronted.site.root_file)
        assert answer.status == 200
    with haproxy(tmp_path, fronted.public) as port:
        assert curl(f"http://localhost:{port}/nothing").status == 404
    assert fronted.observer.failures == []
