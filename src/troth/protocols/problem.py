"""Faults as HTTP answers: the table of every HTTP surface, and its way back for the device (RFC 9457).

Knows no HTTP server. Where a kind of fault goes is one row of `ROWS`.
"""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from troth.errors import Fault, Kind, PeerFault
from troth.limits import PROBLEM_BYTES_MAX

CONTENT_TYPE: Final = "application/problem+json"
_URN: Final = "urn:troth:fault:"
_INTERNAL: Final = "internal"


class Row(NamedTuple):
    """How one kind of fault is shown: the status (RFC 9110 section 15, RFC 6585) and what it is called."""

    status: int
    title: str


ROWS: Final[Mapping[Kind, Row]] = MappingProxyType(
    {
        Kind.MALFORMED: Row(400, "This cannot be read"),
        Kind.UNAUTHENTICATED: Row(401, "Who asks has not been proven"),
        Kind.FORBIDDEN: Row(403, "This is not allowed"),
        Kind.NOT_FOUND: Row(404, "There is no such thing"),
        Kind.CONFLICT: Row(409, "This does not fit what is there"),
        Kind.REJECTED: Row(422, "This is refused"),
        Kind.BAD_KEY: Row(422, "The key is not acceptable"),
        Kind.TOO_LARGE: Row(413, "This is over a bound"),
        Kind.RATE_LIMITED: Row(429, "Too much, too soon"),
        # Not 410: what has expired is the proof that was shown, not the resource that was asked for.
        Kind.EXPIRED: Row(403, "Its time is over or has not come"),
        Kind.UNSUPPORTED: Row(501, "This is not offered"),
        Kind.UNAVAILABLE: Row(503, "Something that is needed does not answer"),
        Kind.MISCONFIGURED: Row(500, "The server is not set up for this"),
    }
)


class Problem(NamedTuple):
    """An HTTP answer: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def render(error: Exception, *, challenge: str | None = None) -> Problem:
    """Return the answer to a request that ended in `error`.

    Of a `Fault` the message, the hint and the parts are shown, its detail never; of any other exception nothing.
    `challenge` becomes WWW-Authenticate on a 401, which without one is no valid answer (RFC 9110 section 15.5.2).
    """
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    if not isinstance(error, Fault):
        members = {"type": _URN + _INTERNAL, "title": "Internal error", "status": 500}
        return Problem(500, headers, _render_json(members))
    status = ROWS[error.kind].status
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if challenge is not None and status == 401:
        headers["WWW-Authenticate"] = challenge
    members = _members(error) | {"status": status}
    if error.parts:
        members["parts"] = [_members(part) for part in error.parts]
    return Problem(status, headers, _render_json(members))


def parse(status: int, body: bytes) -> Fault:
    """Return the fault that an answer of `status` (400 or above) tells of, as far as the body can be understood.

    For the one who asked: `kind` is of the body's type, else the first in `ROWS` with this status, else unavailable.
    Raises `PeerFault` (too large) above `PROBLEM_BYTES_MAX`; text from the other side is shortened and made printable.
    """
    if len(body) > PROBLEM_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"an answer of {len(body)} bytes is over the bound of {PROBLEM_BYTES_MAX}")
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        members = {}
    name = members.get("type")
    kinds = [kind for kind in Kind if name == _URN + kind]
    kinds += [kind for kind, row in ROWS.items() if row.status == status]
    message = _shown(members.get("detail")) or _shown(members.get("title")) or f"the server answered {status}"
    return Fault(kinds[0] if kinds else Kind.UNAVAILABLE, message, hint=_shown(members.get("hint")))


def _members(fault: Fault) -> dict[str, Any]:
    members = {"type": _URN + fault.kind, "title": ROWS[fault.kind].title, "detail": fault.message}
    if fault.hint is not None:
        members["hint"] = fault.hint
    return members


def _render_json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=True).encode()


def _shown(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(character if character.isprintable() else " " for character in value[:500]).strip() or None
