"""The list of Roughtime servers that a client is equipped with: JSON. RFC 10049, section 8.3.

Only servers of version 1 that answer by UDP are taken; others on the list are left out, as the format means it.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from troth.errors import Kind, PeerFault
from troth.protocols.roughtime.request import KEY_BYTES, VERSION

SERVER_LIST_BYTES_MAX: Final = 64 * 1024
SERVERS_MAX: Final = 64

_KEY_TYPE: Final = "ed25519"


@dataclass(frozen=True, slots=True)
class TimeServer:
    """One server, and the long-term key that its answers must go back to."""

    name: str
    public_key: bytes
    address: str
    """``host:port``, an IPv6 address in brackets; UDP."""


def parse_servers(data: bytes) -> tuple[TimeServer, ...]:
    """Read a list. The caller bounds `data` by `SERVER_LIST_BYTES_MAX`. Raises `PeerFault` (malformed)."""
    try:
        entries = json.loads(data)["servers"]
        found = [_server(entry) for entry in entries[:SERVERS_MAX]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise PeerFault(
            Kind.MALFORMED, "this is not a list of Roughtime servers", hint="RFC 10049, section 8.3", detail=str(error)
        ) from error
    servers = tuple(server for server in found if server is not None)
    if not servers:
        raise PeerFault(Kind.MALFORMED, "the list has no Roughtime server of version 1 that answers by UDP")
    return servers


def render_servers(servers: Sequence[TimeServer]) -> bytes:
    """Return the list of these servers."""
    entries = [
        {
            "name": server.name,
            "version": VERSION,
            "publicKeyType": _KEY_TYPE,
            "publicKey": base64.b64encode(server.public_key).decode(),
            "addresses": [{"protocol": "udp", "address": server.address}],
        }
        for server in servers
    ]
    return json.dumps({"servers": entries}, indent=2).encode() + b"\n"


def _server(entry: dict[str, Any]) -> TimeServer | None:
    if entry["publicKeyType"] != _KEY_TYPE:
        return None
    key = base64.b64decode(entry["publicKey"], validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key of another length")
    for place in entry["addresses"]:
        if place["protocol"] == "udp":
            return TimeServer(_text(entry["name"]), key, _text(place["address"]))
    return None


def _text(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 300 or not value.isprintable():
        raise ValueError("no text")
    return value
