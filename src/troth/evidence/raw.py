"""A reading as whoever received it keeps it: one line of JSON with topic, payload and the time it came.

``{"topic": "home/meter-7/power", "payload_base64": "0oRY...", "received": "2026-06-01T12:00:00Z"}``; other members are
let pass. Any bytes are read to a value or a `PeerFault`.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from troth.errors import Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64

_decode: Final = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class RawReading:
    """A message that came."""

    topic: str
    payload: bytes
    received: datetime
    """By the clock of whoever received it; nothing proves it."""


def parse_raw(line: bytes) -> RawReading:
    """Return the message of a line. Raises `PeerFault` (malformed). The caller bounds the line."""
    try:
        value = _decode(line.decode())
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        topic, payload, received = value.get("topic"), value.get("payload_base64"), value.get("received")
        if not (isinstance(topic, str) and isinstance(payload, str) and isinstance(received, str)):
            raise ValueError("topic, payload_base64 and received are texts")
        at = datetime.fromisoformat(received)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, RecursionError) as error:
        raise PeerFault(Kind.MALFORMED, "the line is no reading as it was received", detail=str(error)) from error
    return RawReading(topic, parse_base64(payload, "a payload"), at)


def render_raw(raw: RawReading) -> bytes:
    """Return the line, its end included."""
    received = raw.received.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    value = {"topic": raw.topic, "payload_base64": render_base64(raw.payload), "received": received}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
