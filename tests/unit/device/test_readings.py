"""Signed readings: numbered by the queue, so that no number is ever given twice, and sent in that order."""

from pathlib import Path

import pytest
from tests.unit.device.home import THING, Home

from troth.clock import SystemClock
from troth.device.enroll import enroll_by
from troth.device.identity import Identity
from troth.device.queue import Queue
from troth.device.readings import send_waiting, signing
from troth.errors import Fault, Kind
from troth.evidence.reading import SignedReading, parse_reading
from troth.limits import DEVICE_QUEUE_IN_FLIGHT_MAX, READING_REPEATS
from troth.testing.clock import NOON
from troth.x509.certificates import certificate_id


@pytest.fixture
def identity(home: Home, tmp_path: Path) -> Identity:
    path = tmp_path / "identity"
    return enroll_by(path, home.wanted(), home.answer, SystemClock()).identity


class Wire:
    """Takes messages, until it is cut."""

    def __init__(self, cut_after: int = 100) -> None:
        self.sent: list[SignedReading] = []
        self._left = cut_after

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        if not self._left:
            raise Fault(Kind.UNAVAILABLE, "cut")
        self._left -= 1
        self.sent.append(parse_reading(payload))

    @property
    def numbers(self) -> list[int]:
        return [each.reading.sequence for each in self.sent]


def test_a_queued_reading_says_who_when_where_and_which(identity: Identity) -> None:
    with Queue(identity.path) as queue:
        queued = queue.add("home/a", b"412 W", NOON, seal=signing(identity.path))
    signed = parse_reading(queued.payload)
    assert signed.is_signed_by(identity.certificate.public_key())  # type: ignore[arg-type]
    reading = signed.reading
    assert (reading.certificate_id, reading.thing) == (certificate_id(identity.certificate), THING)
    assert (reading.topic, reading.at, reading.sequence, reading.payload) == ("home/a", NOON, 1, b"412 W")


def test_numbers_go_on_whatever_became_of_what_was_queued(identity: Identity) -> None:
    """Each `with` is a device that was switched on, and off again at any moment."""
    given = []
    for _ in range(5):
        with Queue(identity.path) as queue:
            given.append(queue.add("home/a", b"x", NOON, seal=signing(identity.path)).sequence)
            queue.remove(given[-1])
    assert given == [1, 2, 3, 4, 5]


def test_after_a_renewal_the_new_key_signs(home: Home, identity: Identity) -> None:
    seal = signing(identity.path)
    with Queue(identity.path) as queue:
        old = parse_reading(queue.add("home/a", b"x", NOON, seal=seal).payload)
        renewed = enroll_by(identity.path, home.wanted(), home.answer, SystemClock()).identity
        new = parse_reading(queue.add("home/a", b"x", NOON, seal=seal).payload)
    assert certificate_id(renewed.certificate) != certificate_id(identity.certificate)
    assert old.reading.certificate_id == certificate_id(identity.certificate)
    assert new.reading.certificate_id == certificate_id(renewed.certificate)
    assert new.is_signed_by(renewed.certificate.public_key())  # type: ignore[arg-type]
    assert new.reading.sequence == old.reading.sequence + 1


def test_what_could_not_be_signed_was_never_there(identity: Identity) -> None:
    with Queue(identity.path) as queue:
        with pytest.raises(Fault, match="does not know"):
            queue.add("home/a", b"x", None, seal=signing(identity.path))
        assert queue.depth().waiting == 0
        assert queue.add("home/a", b"x", NOON, seal=signing(identity.path)).sequence == 1


def test_what_waits_goes_first_and_a_cut_loses_nothing(identity: Identity) -> None:
    with Queue(identity.path) as queue:
        for _ in range(5):
            queue.add("home/a", b"x", NOON, seal=signing(identity.path))
        wire = Wire(cut_after=3)
        with pytest.raises(Fault, match="cut"):
            send_waiting(queue, wire, 4)
        assert wire.numbers == [1, 2, 3]
        again = Wire()
        assert send_waiting(queue, again, 4) == 1
        assert again.numbers == [4]
        assert [each.sequence for each in queue.waiting(10)] == [5]


def test_the_gateway_remembers_all_that_can_be_in_flight() -> None:
    assert READING_REPEATS >= DEVICE_QUEUE_IN_FLIGHT_MAX
