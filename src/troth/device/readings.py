"""Signed readings on a device: signed by its certificate's key, numbered by its queue, which gives no number twice.

Also across power cuts: a number is on the disk with its reading before anything is sent. Knows no network.
"""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from troth.device.identity import Identity, open_identity
from troth.device.queue import Queue, Seal
from troth.device.queue import Reading as Queued
from troth.device.slot_keys import open_key
from troth.device.slots import Slots
from troth.errors import Fault, Kind
from troth.evidence.reading import Reading, sign_reading
from troth.keys.signing import SigningKey
from troth.x509.certificates import certificate_id

_TOGETHER = 100


class Publisher(Protocol):
    """A connection that messages are sent by."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send a message; at QoS 1 return when the server has taken it over."""


def signing(path: Path) -> Seal:
    """Return what makes a signed reading of one that is queued, by the identity in the folder `path`.

    Each is signed by the key in use at its moment: another one from a renewal on. Raises `Fault`, also when it is used:
    as `open_identity` and `open_key` do; unavailable for a reading without a time.
    """
    keeper = _Keeper(path)
    keeper.open()

    def seal(queued: Queued) -> bytes:
        identity, key, key_id = keeper.open()
        at = _known(queued.at)
        return sign_reading(Reading(key_id, identity.thing, queued.topic, at, queued.sequence, queued.payload), key)

    return seal


class _Keeper:
    """An identity and its key, opened anew when another certificate is in use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self._opened: tuple[Identity, SigningKey, bytes] | None = None

    def open(self) -> tuple[Identity, SigningKey, bytes]:
        slot = Slots(self._path).current()
        seen = None if slot is None else (slot.name, slot.chain_file.stat().st_mtime_ns)
        if self._opened is None or seen != self._seen:
            identity = open_identity(self._path)
            key_id = bytes.fromhex(certificate_id(identity.certificate))
            self._seen, self._opened = seen, (identity, open_key(identity.slot), key_id)
        return self._opened


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
