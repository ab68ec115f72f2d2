"""Memory in flight is bounded for all sessions of a worker together, and who has held it longest makes room."""

from functools import partial

from tests.unit.gateway.mqtt.wires import Wire

from troth.gateway.mqtt.flight import FREE_BYTES, Flight, Share
from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.refusal import Reason

BIG = 2 * FREE_BYTES


class Sessions:
    """Sessions of a worker that may hold three big packets."""

    def __init__(self, count: int) -> None:
        self.flight = Flight(3 * BIG)
        self.wires = [Wire() for _ in range(count)]
        self.ended: list[int] = []
        self.valves = [Valve(wire) for wire in self.wires]
        self.shares = [Share(self.flight, valve, partial(self._end, place)) for place, valve in enumerate(self.valves)]

    def _end(self, place: int, reason: Reason) -> None:
        assert reason is Reason.MEMORY_HELD
        self.ended.append(place)
        self.wires[place].close()
        self.shares[place].note(0)

    @property
    def reading(self) -> list[bool]:
        return [wire.reading for wire in self.wires]


def test_what_is_little_counts_for_nothing() -> None:
    sessions = Sessions(10)
    for share in sessions.shares:
        share.note(FREE_BYTES)
        assert not share.is_counted
    assert sessions.flight.total == 0


def test_beyond_the_bound_who_holds_more_waits_until_there_is_room() -> None:
    sessions = Sessions(5)
    for share in sessions.shares[:4]:
        share.note(BIG)
    assert sessions.reading == [True, True, True, False, True]
    # Little is let through all the time.
    sessions.shares[4].note(10)
    assert sessions.reading[4]
    sessions.shares[0].note(0)
    assert sessions.flight.total == 3 * BIG
    assert all(sessions.reading)


def test_who_was_made_to_wait_and_is_done_goes_on() -> None:
    sessions = Sessions(5)
    for share in sessions.shares:
        share.note(BIG)
    assert sessions.reading == [True, True, True, False, False]
    sessions.shares[3].note(0)
    assert sessions.reading == [True, True, True, True, False]


def test_a_slow_broker_is_still_waited_for() -> None:
    sessions = Sessions(4)
    for share in sessions.shares:
        share.note(BIG)
    sessions.valves[3].shut(Why.OTHER_SIDE)
    sessions.shares[0].note(0)
    assert not sessions.reading[3]
    sessions.valves[3].open(Why.OTHER_SIDE)
    assert sessions.reading[3]


def test_a_broker_that_catches_up_opens_nothing_while_memory_is_short() -> None:
    sessions = Sessions(4)
    sessions.valves[3].shut(Why.OTHER_SIDE)
    for share in sessions.shares:
        share.note(BIG)
    sessions.valves[3].open(Why.OTHER_SIDE)
    assert not sessions.reading[3]


def test_who_has_held_longest_makes_room_and_no_more_than_need_be() -> None:
    sessions = Sessions(5)
    for share in sessions.shares[:2]:
        share.note(BIG)
    sessions.flight.tick()
    for share in sessions.shares[2:]:
        share.note(BIG)
    sessions.flight.tick()
    assert sessions.ended == [0, 1]
    assert sessions.flight.total == 3 * BIG
    sessions.flight.tick()
    assert sessions.ended == [0, 1]
    assert all(sessions.reading)


def test_nobody_is_ended_within_the_bound() -> None:
    sessions = Sessions(3)
    for share in sessions.shares:
        share.note(BIG)
    for _ in range(3):
        sessions.flight.tick()
    assert sessions.ended == []
