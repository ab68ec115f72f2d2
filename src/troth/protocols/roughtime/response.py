"""What a Roughtime server tells, and why to believe it. RFC 10049, sections 5.2 to 5.4.

A long-term key, known to clients beforehand, vouches for a key that signs for a while; that one signs the time and the
root of a tree over all requests of a batch, so that one signature answers many.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from troth.errors import Bug, Kind, PeerFault
from troth.keys.verifying import is_signature
from troth.protocols.roughtime.message import (
    number,
    parse_message,
    parse_packet,
    render_message,
    render_packet,
    value_of,
    versions_of,
    word,
)
from troth.protocols.roughtime.request import KEY_BYTES, NONCE_BYTES, VERSION, Request, truncated_hash

RESPONSE_BYTES_MAX: Final = 2048
"""Longest packet that a client looks at."""
BATCH_MAX: Final = 64
"""Requests under one signature: six hashes in the path, and an answer far below a request's 1,036 bytes."""
PATH_MAX: Final = 32

_RESPONSE: Final = 1
_HASH_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_DELEGATION: Final = b"Roughtime v1 delegation signature\0"
_ANSWER: Final = b"Roughtime v1 response signature\0"

Sign = Callable[[bytes], bytes]
"""Makes an Ed25519 signature."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a server has told and proven to be its word: that the time is within `radius` of `midpoint`."""

    midpoint: datetime
    radius: timedelta


def delegate(sign: Sign, public_key: bytes, since: datetime, until: datetime) -> bytes:
    """Return the certificate by which a long-term key lets `public_key` tell the time from `since` to `until`."""
    delegation = render_message({"PUBK": public_key, "MINT": _stamp(since), "MAXT": _stamp(until)})
    return render_message({"SIG": sign(_DELEGATION + delegation), "DELE": delegation})


def until_of(certificate: bytes) -> datetime:
    """Return when a delegation ends. Raises `PeerFault` (malformed)."""
    return _time(value_of(parse_message(value_of(parse_message(certificate), "DELE")), "MAXT", 8))


def respond(requests: Sequence[Request], at: datetime, radius_s: int, certificate: bytes, sign: Sign) -> list[bytes]:
    """Return the answers to up to `BATCH_MAX` requests, in their order: the time `at`, right to `radius_s` seconds."""
    if not 1 <= len(requests) <= BATCH_MAX or radius_s < 1:
        raise Bug("Roughtime answers one batch at a time, and is never exact")
    levels = _tree([truncated_hash(b"\0", request.packet) for request in requests])
    answer = render_message(
        {
            "VER": word(VERSION),
            "RADI": word(radius_s),
            "MIDP": _stamp(at),
            "VERS": word(VERSION),
            "ROOT": levels[-1][0],
        }
    )
    common = {"SIG": sign(_ANSWER + answer), "TYPE": word(_RESPONSE), "SREP": answer, "CERT": certificate}
    return [
        render_packet(
            render_message({**common, "NONC": request.nonce, "PATH": _path(levels, index), "INDX": word(index)})
        )
        for index, request in enumerate(requests)
    ]


def verify_response(packet: bytes, request: bytes, public_key: bytes) -> Told:
    """Return what the server with this long-term key answers to `request`, the packet that was sent. Section 5.4.

    The caller bounds `packet` by `RESPONSE_BYTES_MAX`. Raises `PeerFault`: malformed; unsupported (another version);
    unauthenticated, when it is not that key's answer to that request.
    """
    message = parse_packet(packet)
    answer, certificate = parse_message(value_of(message, "SREP")), parse_message(value_of(message, "CERT"))
    if number(value_of(answer, "VER", 4)) != VERSION or VERSION not in versions_of(answer, "VERS"):
        raise PeerFault(Kind.UNSUPPORTED, "the server answers in another version of Roughtime")
    if number(value_of(message, "TYPE", 4)) != _RESPONSE:
        raise PeerFault(Kind.MALFORMED, "this is no answer")
    delegation = parse_message(value_of(certificate, "DELE"))
    online_key = value_of(delegation, "PUBK", KEY_BYTES)
    _require_signed(public_key, certificate, _DELEGATION, value_of(certificate, "DELE"), "the signing key")
    _require_signed(online_key, message, _ANSWER, value_of(message, "SREP"), "the time")
    asked = value_of(parse_packet(request), "NONC", NONCE_BYTES)
    if value_of(message, "NONC", NONCE_BYTES) != asked or _root(message, request) != value_of(
        answer, "ROOT", _HASH_BYTES
    ):
        raise PeerFault(Kind.UNAUTHENTICATED, "this answers another request")
    midpoint = value_of(answer, "MIDP", 8)
    if not number(value_of(delegation, "MINT", 8)) <= number(midpoint) <= number(value_of(delegation, "MAXT", 8)):
        raise PeerFault(Kind.UNAUTHENTICATED, "the key that signed this was not to sign at that time")
    radius_s = number(value_of(answer, "RADI", 4))
    if radius_s == 0:
        raise PeerFault(Kind.MALFORMED, "no server knows the time exactly")
    return Told(_time(midpoint), timedelta(seconds=radius_s))


def _require_signed(public_key: bytes, signed: dict[str, bytes], context: bytes, data: bytes, what: str) -> None:
    signature = value_of(signed, "SIG", _SIGNATURE_BYTES)
    if not is_signature(Ed25519PublicKey.from_public_bytes(public_key), signature, context + data):
        raise PeerFault(Kind.UNAUTHENTICATED, f"the signature over {what} is not the server's")


def _root(message: dict[str, bytes], request: bytes) -> bytes:
    """Return what the root must be for `request` to be in the tree. Section 5.3.1."""
    path, index = value_of(message, "PATH"), number(value_of(message, "INDX", 4))
    if len(path) % _HASH_BYTES or len(path) > PATH_MAX * _HASH_BYTES:
        raise PeerFault(Kind.MALFORMED, "the path is not made of hashes")
    node = truncated_hash(b"\0", request)
    for at in range(0, len(path), _HASH_BYTES):
        sibling = path[at : at + _HASH_BYTES]
        node = truncated_hash(b"\1", sibling, node) if index & 1 else truncated_hash(b"\1", node, sibling)
        index >>= 1
    if index:
        raise PeerFault(Kind.MALFORMED, "the place in the tree is beyond it")
    return node


def _tree(leaves: list[bytes]) -> list[list[bytes]]:
    """Return all levels from the leaves up; an odd one out is paired with itself, which no other leaf can claim."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        level = levels[-1]
        if len(level) % 2:
            level.append(level[-1])
        levels.append([truncated_hash(b"\1", *level[at : at + 2]) for at in range(0, len(level), 2)])
    return levels


def _path(levels: list[list[bytes]], index: int) -> bytes:
    return b"".join(level[(index >> height) ^ 1] for height, level in enumerate(levels[:-1]))


def _stamp(at: datetime) -> bytes:
    return struct.pack("<Q", max(0, int(at.timestamp())))


def _time(data: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(number(data), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise PeerFault(Kind.MALFORMED, "the server tells of a time beyond the year 9999") from error
