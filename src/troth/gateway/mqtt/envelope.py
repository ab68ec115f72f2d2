"""What MQTT 5 says of a message, around its payload on the way through a broker of 3.1.1: only gateways write it.

An envelope stands behind the payload and ends in `MARK`. Whatever a device sends that ends so is put into an envelope
of its own first (`escape`), so that the outermost one is always a gateway's, and no device can write what another
takes for properties. Knows no policy and no connection.
"""

from typing import Final, NamedTuple

from troth.clock import Clock
from troth.errors import PeerFault
from troth.protocols.mqtt import Publish, build_publish
from troth.protocols.mqtt.fields import Fields
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.property_table import Place, render_properties, take_properties

MARK: Final = b"\xf5troth\x01\xfe"
LAST_BYTE: Final = MARK[-1]
NO_BYTE: Final = -1
"""What no message ends in."""

_LENGTH_BYTES: Final = 4
_TAIL_BYTES: Final = _LENGTH_BYTES + len(MARK)
_ORIGIN_BYTES: Final = 8
_TIME_BYTES: Final = 8
_HAS_ORIGIN: Final = 0x01
_HAS_EXPIRY: Final = 0x02


class Content(NamedTuple):
    """What an envelope holds."""

    payload: bytes
    properties: Properties = NO_PROPERTIES
    """As the publisher said them, but for the expiry of what was published: that is `expires_ms`."""
    origin: bytes = b""
    """Who published it, as `origin_of` says; empty where nobody needs to know."""
    expires_ms: int | None = None
    """When it is to be delivered no more, in milliseconds since 1970."""


def is_sealed(packet: Publish) -> bool:
    """Say whether a message looks like one in an envelope."""
    return packet.raw.endswith(MARK, packet.payload_at)


def escape(packet: Publish) -> Publish:
    """Return a message of MQTT 3.1.1 whose payload looks like an envelope in one that holds it."""
    payload = seal(Content(packet.payload))
    return build_publish(
        packet.topic, payload, qos=packet.qos, retain=packet.retain, dup=packet.dup, packet_id=packet.packet_id
    )


def escaped(payload: bytes) -> bytes:
    """Return a payload as it goes to the broker without anything to say of it."""
    return seal(Content(payload)) if payload.endswith(MARK) else payload


def seal(content: Content) -> bytes:
    """Return the payload that goes to the broker. Raises `OurFault` (malformed) for properties that no message has."""
    head = bytearray((0,))
    if content.origin:
        head[0] |= _HAS_ORIGIN
        head += content.origin
    if content.expires_ms is not None:
        head[0] |= _HAS_EXPIRY
        head += content.expires_ms.to_bytes(_TIME_BYTES)
    body = bytes(head) + render_properties(content.properties, Place.TO_SERVER)
    return content.payload + body + len(body).to_bytes(_LENGTH_BYTES) + MARK


def open_envelope(packet: Publish) -> Content:
    """Return what is in an envelope.

    What only looks like one was written past every gateway: it is a payload like any other.
    """
    payload = packet.payload
    end = len(payload) - _TAIL_BYTES
    start = end - int.from_bytes(payload[end : end + _LENGTH_BYTES]) if end >= 0 else -1
    if not payload.endswith(MARK) or start < 0:
        return Content(payload)
    try:
        return _parse(payload[:start], payload[start:end])
    except (PeerFault, IndexError):
        return Content(payload)


def expiry_ms(clock: Clock, after_s: int) -> int:
    """Return when a message expires that is published now."""
    return int(clock.now().timestamp() * 1000) + after_s * 1000


def left_s(content: Content, clock: Clock) -> int | None:
    """Return how many seconds a message has still to live, 0 when none are left; None for one that lives for ever."""
    if content.expires_ms is None:
        return content.properties.message_expiry_s
    left_ms = content.expires_ms - int(clock.now().timestamp() * 1000)
    # A second that has begun counts, so that one which comes at once has all that it was given.
    return max(0, -(-left_ms // 1000))


def is_expired(content: Content, clock: Clock) -> bool:
    """Say whether a message is to be delivered no more."""
    return content.expires_ms is not None and left_s(content, clock) == 0


def origin_of(upstream_client_id: str) -> bytes:
    """Return how a session is told from others: of the same owner and client id it is the same."""
    return bytes.fromhex(upstream_client_id)[:_ORIGIN_BYTES]


def _parse(payload: bytes, body: bytes) -> Content:
    flags, at = body[0], 1
    origin, expires_ms = b"", None
    if flags & _HAS_ORIGIN:
        origin, at = body[at : at + _ORIGIN_BYTES], at + _ORIGIN_BYTES
    if flags & _HAS_EXPIRY:
        expires_ms, at = int.from_bytes(body[at : at + _TIME_BYTES]), at + _TIME_BYTES
    properties = take_properties(Fields(body[at:]), Place.TO_SERVER)
    return Content(payload, properties, origin, expires_ms)
