"""Any bytes as a Roughtime request, an answer and a list of servers: a value or a typed fault."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from troth.errors import PeerFault
from troth.protocols.roughtime.request import build_request, parse_request
from troth.protocols.roughtime.response import delegate, respond, until_of, verify_response
from troth.protocols.roughtime.servers import TimeServer, parse_servers, render_servers

_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
_PUBLIC: Final = _KEY.public_key().public_bytes_raw()
_NOW: Final = datetime(2030, 1, 1, tzinfo=UTC)
_REQUEST: Final = build_request(bytes(32), _PUBLIC)
_CERTIFICATE: Final = delegate(_KEY.sign, _PUBLIC, _NOW, _NOW + timedelta(days=1))

SEEDS: Final = (
    _REQUEST,
    *respond([parse_request(_REQUEST)] * 3, _NOW, 3, _CERTIFICATE, _KEY.sign),
    render_servers([TimeServer("home", _PUBLIC, "home.example:2002")]),
    _CERTIFICATE,
    b"",
)
WORDS: Final = (b"ROUGHTIM", b"SREP", b"NONC", b"SIG\0", b"VER\0", b"ZZZZ", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00")


def check(data: bytes) -> None:
    """Read `data` as all that it could be."""
    with suppress(PeerFault):
        parse_request(data)
    with suppress(PeerFault):
        verify_response(data, _REQUEST, _PUBLIC)
    with suppress(PeerFault):
        parse_servers(data)
    with suppress(PeerFault):
        until_of(data)
