"""Signed readings on a device: signed by its certificate's key, numbered by its queue, which gives no number twice.

Also across power cuts: a number is on the disk with its reading before anything is sent. Knows no network.
"""

from datetime import datetime
from typing import Protocol

from troth.device.identity import Identity
from troth.device.queue import Queue, Seal
from troth.device.queue import Reading as Queued
from troth.device.slot_keys import open_key
from troth.errors import Fault, Kind
from troth.evidence.reading import Reading, sign_reading
from troth.x509.certificates import certificate_id

_TOGETHER = 100


class Publisher(Protocol):
    """A connection that messages are sent by."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send a message; at QoS 1 return when the server has taken it over."""


def signing(identity: Identity) -> Seal:
    """Return what makes a signed reading of one that is queued. Raises `Fault` as `open_key` does."""
    key = open_key(identity.slot)
    key_id = bytes.fromhex(certificate_id(identity.certificate))

    def seal(queued: Queued) -> bytes:
        at = _known(queued.at)
        return sign_reading(Reading(key_id, identity.thing, queued.topic, at, queued.sequence, queued.payload), key)

    return seal


def send_waiting(queue: Queue, publisher: Publisher, last: int) -> int:
    """Send what waits up to the number `last`, in order, and return how many that were.

    Each is forgotten when the home has it. Raises as `publisher` does; what is left waits on.
    """
    count = 0
    while waiting := [each for each in queue.waiting(_TOGETHER) if each.sequence <= last]:
        for reading in waiting:
            publisher.publish(reading.topic, reading.payload, qos=1, retain=reading.retain)
            queue.remove(reading.sequence)
            count += 1
    return count


def _known(at: datetime | None) -> datetime:
    if at is None:
        hint = "see troth device show: where does this device have its time from?"
        raise Fault(Kind.UNAVAILABLE, "a reading is signed with its time, which this device does not know", hint=hint)
    return at
