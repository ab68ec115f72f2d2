"""What a client asks a Roughtime server. RFC 10049, section 5.1."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from troth.errors import Kind, PeerFault
from troth.protocols.roughtime.message import (
    HEADER_BYTES,
    number,
    parse_packet,
    render_message,
    render_packet,
    value_of,
    versions_of,
    word,
)

VERSION: Final = 1
NONCE_BYTES: Final = 32
KEY_BYTES: Final = 32
"""Of an Ed25519 public key (RFC 8032)."""
MESSAGE_BYTES: Final = 1024
"""A request is at least this long, so that nobody gets more than was sent in another's name (section 5.1)."""
REQUEST_BYTES_MAX: Final = 2048
"""Longest packet that a server looks at."""

_REQUEST: Final = 0
_FIXED_BYTES: Final = 5 * 2 * 4 + 4 + KEY_BYTES + NONCE_BYTES + 4
"""The header of five pairs, VER, SRV, NONC and TYPE; the rest of a request is padding."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question that a server may answer."""

    nonce: bytes
    server: bytes | None
    """Which long-term key the client expects, as `server_tag` names it; None: any."""
    packet: bytes = field(repr=False)
    """All of it, as it came: what the answer proves to have seen."""


def build_request(nonce: bytes, public_key: bytes) -> bytes:
    """Return the packet that asks the server with this long-term key. `nonce` has 32 random bytes and is used once."""
    message = {
        "VER": word(VERSION),
        "SRV": server_tag(public_key),
        "NONC": nonce,
        "TYPE": word(_REQUEST),
        "ZZZZ": bytes(MESSAGE_BYTES - _FIXED_BYTES),
    }
    return render_packet(render_message(message))


def parse_request(packet: bytes) -> Request:
    """Read a request of version 1. The caller bounds `packet` by `REQUEST_BYTES_MAX`.

    Raises `PeerFault`: malformed; unsupported (another version). No answer is due to either.
    """
    if len(packet) < HEADER_BYTES + MESSAGE_BYTES:
        raise PeerFault(Kind.MALFORMED, "the request is shorter than the answer might be")
    message = parse_packet(packet)
    if VERSION not in versions_of(message, "VER"):
        raise PeerFault(Kind.UNSUPPORTED, "the request is for other versions than 1")
    if number(value_of(message, "TYPE", 4)) != _REQUEST:
        raise PeerFault(Kind.MALFORMED, "this is no request")
    if any(message.get("ZZZZ", b"")):
        raise PeerFault(Kind.MALFORMED, "the padding of the request is not zero")
    server = value_of(message, "SRV", KEY_BYTES) if "SRV" in message else None
    return Request(value_of(message, "NONC", NONCE_BYTES), server, packet)


def server_tag(public_key: bytes) -> bytes:
    """Return what names a long-term key in a request (section 5.1.4)."""
    return truncated_hash(b"\xff", public_key)


def truncated_hash(*parts: bytes) -> bytes:
    """Return the first 32 bytes of SHA-512 over all parts: the one hash of Roughtime."""
    return hashlib.sha512(b"".join(parts)).digest()[:32]
