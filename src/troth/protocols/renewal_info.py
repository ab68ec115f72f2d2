"""When a certificate is to be renewed, as JSON: a window of time, as ACME has it (RFC 9773, 4.2), for both ends.

The IETF's draft-ietf-lamps-est-renewal-info brings the same to EST. Knows no HTTP and no certificate.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from troth.errors import Kind, PeerFault
from troth.limits import RENEWAL_INFO_BYTES_MAX

CONTENT_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time; a renewal is due at any moment of it, and overdue behind its end."""

    start: datetime
    end: datetime


def render_renewal_info(window: Window) -> bytes:
    """Return the body of an answer; times in RFC 3339, UTC, whole seconds."""
    return json.dumps({"suggestedWindow": {"start": _text(window.start), "end": _text(window.end)}}).encode()


def parse_renewal_info(body: bytes) -> Window:
    """Read such a body; members that are not known are let pass. Raises `PeerFault` (too large, malformed)."""
    if len(body) > RENEWAL_INFO_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a renewal info of {len(body)} bytes is over {RENEWAL_INFO_BYTES_MAX}")
    try:
        window = json.loads(body)["suggestedWindow"]
        start, end = datetime.fromisoformat(window["start"]), datetime.fromisoformat(window["end"])
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("a time without its zone")
        found = Window(start.astimezone(UTC), end.astimezone(UTC))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise PeerFault(Kind.MALFORMED, "that is no renewal info", detail=repr(error)) from error
    if found.end < found.start:
        raise PeerFault(Kind.MALFORMED, "the renewal window ends before it begins")
    return found


def _text(time: datetime) -> str:
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
