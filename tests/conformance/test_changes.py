"""Changes from several processes at once: numbers without gaps, nothing half done, nobody kept waiting."""

import itertools
import statistics
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.processes import writer
from tests.fixtures.databases import StepClock

from troth.errors import Bug, Fault, Kind
from troth.evidence.merkle import leaf_hash
from troth.journal import tables
from troth.journal.change import change
from troth.journal.entries import head, list_after, list_before
from troth.registry.things import create_thing, find_thing
from troth.registry.types import create_type, find_type
from troth.store.connect import Database
from troth.store.read import read

BULK = 100
"""Entries in each change of a busy writer: enough for it to be in nearly all the time."""


def test_a_change_is_committed_with_its_entries(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli", why="spring") as changing:
        create_type(changing, "lamp")
        create_thing(changing, "lamp-1", "lamp", {"room": "hall"})
        at = changing.at
    assert changing.last == 2
    with read(db) as connection:
        first, second = list_after(connection, 0)
        assert find_thing(connection, "lamp-1") is not None
        rows = connection.execute(tables.entries.select().order_by(tables.entries.c.number)).all()
    assert (first.number, first.kind, first.subject) == (1, "type.created", "lamp")
    assert (second.number, second.kind, second.subject) == (2, "thing.created", "lamp-1")
    assert (second.at, second.actor, second.why) == (at, "operator:cli", "spring")
    assert second.data == {"thing": "lamp-1", "type": "lamp", "attributes": {"room": "hall"}}
    assert [row.nodes[:32] for row in rows] == [leaf_hash(row.body) for row in rows]


def test_a_change_that_fails_leaves_nothing(db: Database, clock: StepClock) -> None:
    with pytest.raises(Fault), change(db, clock, "operator:cli") as changing:
        create_type(changing, "lamp")
        create_thing(changing, "lamp-1", "no such type")
    with read(db) as connection:
        assert find_type(connection, "lamp") is None
        assert head(connection) == 0


def test_a_change_that_is_not_recorded_is_undone(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_type(changing, "lamp")
    with pytest.raises(Bug), change(db, clock, "operator:cli") as changing:
        changing.execute(tables.entries.delete())
    with read(db) as connection:
        assert len(list_after(connection, 0)) == 1


def test_a_change_that_finds_nothing_to_do_adds_no_entry(db: Database, clock: StepClock) -> None:
    for _ in range(2):
        with change(db, clock, "operator:cli") as changing:
            create_type(changing, "lamp")
        assert changing.last == 1
    with read(db) as connection:
        assert head(connection) == 1


def test_a_change_has_no_number_before_its_commit(db: Database, clock: StepClock) -> None:
    with change(db, clock, "operator:cli") as changing:
        create_type(changing, "lamp")
        with pytest.raises(Bug):
            _ = changing.last


def test_numbers_have_no_gaps_whoever_writes(db: Database, clock: StepClock) -> None:
    def write(name: str) -> list[int]:
        numbers = []
        for _ in range(10):
            with change(db, clock, "test:thread") as changing:
                changing.record("test.written", name, part=0)
                changing.record("test.written", name, part=1)
            numbers.append(changing.last)
        return numbers

    with writer(db, changes=20, entries=3) as first, writer(db, changes=20, entries=3) as second:
        with ThreadPoolExecutor(3) as threads:
            lasts = list(threads.map(write, ("a", "b", "c")))
        assert (first.wait(60), second.wait(60)) == (0, 0)
    with read(db) as connection:
        entries = list_after(connection, 0)
    assert [entry.number for entry in entries] == list(range(1, 3 * 20 + 2 * 60 + 1))
    for numbers in lasts:
        assert numbers == sorted(set(numbers))
    # The entries of one change stand together.
    for before, after in itertools.pairwise(entries):
        if after.data["part"] != 0:
            assert (before.subject, before.data["part"]) == (after.subject, after.data["part"] - 1)


def test_a_busy_writer_does_not_starve_the_others(db: Database, clock: StepClock) -> None:
    """Counted in commits, not in time: how many of the busy writer's come between asking and being in."""
    overtaken = []
    with writer(db, entries=BULK):
        for number in range(60):
            with read(db) as connection:
                asked = head(connection)
            with change(db, clock, "test:other") as changing:
                changing.record("test.written", f"other-{number}")
            overtaken.append((changing.last - 1 - asked) // BULK)
    # In turn it is one. Without the turnstile most get in at once and some wait for a thousand.
    assert statistics.mean(overtaken) <= 5, overtaken


def test_a_writer_that_is_killed_holds_nobody_up(db: Database, clock: StepClock) -> None:
    for _ in range(3):
        with writer(db, entries=20) as process:
            process.kill()
            assert process.wait() == -9
        with change(db, clock, "test:after") as changing:
            changing.record("test.written", "after")
        assert changing.last % 20 == 1 or changing.last > 20
    with read(db) as connection:
        entries = list_after(connection, 0)
        assert [entry.number for entry in entries] == list(range(1, head(connection) + 1))


def test_entries_are_listed_backwards_and_by_subject(db: Database, clock: StepClock) -> None:
    for number in range(5):
        with change(db, clock, "test:list") as changing:
            changing.record("test.written", "even" if number % 2 == 0 else "odd")
    with read(db) as connection:
        assert [entry.number for entry in list_before(connection, limit=2)] == [5, 4]
        assert [entry.number for entry in list_before(connection, 4, limit=2)] == [3, 2]
        assert [entry.number for entry in list_before(connection, subject="odd")] == [4, 2]


def test_a_snapshot_does_not_move(db: Database, clock: StepClock) -> None:
    with change(db, clock, "test:one") as changing:
        create_type(changing, "lamp")
    with read(db) as connection:
        assert head(connection) == 1
        with change(db, clock, "test:two") as changing:
            create_type(changing, "fan")
        assert head(connection) == 1
        assert find_type(connection, "fan") is None


def test_a_snapshot_cannot_write(db: Database) -> None:
    with pytest.raises(Fault) as caught, read(db) as connection:
        connection.execute(tables.head.update().values(size=7))
    assert caught.value.kind is Kind.UNAVAILABLE
