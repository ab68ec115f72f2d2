"""The list of time servers: what is written is read, what is no list is refused, what cannot be used is left out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.protocols.roughtime.servers import TimeServer, parse_servers, render_servers

OURS = TimeServer("home.example", bytes(range(32)), "home.example:2002")


def entry(**changes: object) -> dict[str, object]:
    (written,) = json.loads(render_servers([OURS]))["servers"]
    return {**written, **changes}


def listed(*entries: object) -> bytes:
    return json.dumps({"servers": entries}).encode()


def test_a_list_comes_back_as_it_went() -> None:
    other = TimeServer("other", bytes(32), "[2001:db8::7]:5319")
    assert parse_servers(render_servers([OURS, other])) == (OURS, other)


def test_servers_that_cannot_be_used_are_left_out() -> None:
    tcp = entry(addresses=[{"protocol": "tcp", "address": "home.example:2002"}])
    assert parse_servers(listed(tcp, entry(publicKeyType="other"), entry())) == (OURS,)
    with pytest.raises(PeerFault) as caught:
        parse_servers(listed(tcp))
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"servers": 1}',
        b"[" * 30_000,
        listed(1),
        listed(entry(publicKey="AAAA")),
        listed(entry(publicKey="=")),
        listed(entry(name="")),
        listed(entry(name=7)),
        listed(entry(addresses=[{"protocol": "udp", "address": "a\nb"}])),
    ],
)
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_servers(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_list_or_a_refusal(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_servers(data)
