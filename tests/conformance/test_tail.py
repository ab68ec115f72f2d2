"""Followers of the journal miss nothing, repeat nothing, and know when they are blind."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager

import pytest
from sqlalchemy import text
from tests.conformance.processes import writer
from tests.fixtures.databases import StepClock

from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.journal.record import Entry
from troth.journal.tail import Follower, read_after
from troth.store.connect import Database
from troth.store.read import read


def record(db: Database, clock: StepClock, *subjects: str) -> int:
    with change(db, clock, "test:tail") as changing:
        for subject in subjects:
            changing.record("test.written", subject)
    return changing.last


async def follow(follower: Follower, until: int) -> list[Entry]:
    seen: list[Entry] = []
    async with aclosing(follower.entries()) as batches:
        async for batch in batches:
            assert batch
            seen.extend(batch)
            assert follower.position == seen[-1].number
            if follower.position >= until:
                break
    return seen


def test_it_hands_out_what_was_there_and_what_comes(db: Database, clock: StepClock) -> None:
    record(db, clock, "before", "at the start")

    async def run() -> list[Entry]:
        follower = Follower(db, clock, position=1, poll_s=0.001)
        async with aclosing(follower.entries()) as batches:
            first = await anext(batches)
            await asyncio.to_thread(record, db, clock, "later")
            return first + await anext(batches)

    assert [entry.subject for entry in asyncio.run(run())] == ["at the start", "later"]


def test_it_misses_and_repeats_nothing_of_busy_writers(db: Database, clock: StepClock) -> None:
    with writer(db, changes=60, entries=3), writer(db, changes=60, entries=3):
        seen = asyncio.run(follow(Follower(db, clock, 0, poll_s=0.001), until=360))
    assert [entry.number for entry in seen] == list(range(1, 361))


def test_it_goes_on_where_it_stopped(db: Database, clock: StepClock) -> None:
    follower = Follower(db, clock, 0, poll_s=0.001)
    record(db, clock, "one")
    assert [entry.subject for entry in asyncio.run(follow(follower, until=1))] == ["one"]
    record(db, clock, "two", "three")
    assert [entry.subject for entry in asyncio.run(follow(follower, until=3))] == ["two", "three"]


def test_a_long_backlog_comes_in_pages(db: Database, clock: StepClock) -> None:
    record(db, clock, *("x" for _ in range(2_500)))
    assert [len(read_after(db, after)) for after in (0, 1000, 2000, 2500)] == [1000, 1000, 500, 0]
    assert len(asyncio.run(follow(Follower(db, clock, 0), until=2500))) == 2500


def test_who_catches_up_has_all_that_was_committed_before(db: Database, clock: StepClock) -> None:
    """Without a poll: whoever asks has it read at once, and one reading serves all who ask."""
    seen: list[str] = []

    async def take(follower: Follower) -> None:
        async with aclosing(follower.entries()) as batches:
            async for batch in batches:
                seen.extend(entry.subject for entry in batch)

    async def run() -> None:
        follower = Follower(db, clock, 0, poll_s=3600)
        taking = asyncio.create_task(take(follower))
        try:
            async with asyncio.timeout(10):
                for subject in ("one", "two", "three"):
                    await asyncio.to_thread(record, db, clock, subject)
                    await asyncio.gather(*(follower.catch_up() for _ in range(3)))
                    assert seen[-1] == subject
                await asyncio.to_thread(record, db, clock, *("x" for _ in range(2_100)))
                await follower.catch_up()
                await follower.catch_up()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        assert len(seen) == 2_103

    asyncio.run(run())


def test_nobody_catches_up_with_a_database_that_is_gone(sqlite_db: Database, clock: StepClock) -> None:
    async def run() -> None:
        follower = Follower(sqlite_db, clock, 0, poll_s=3600)
        taking = asyncio.create_task(follow(follower, until=10))
        await follower.catch_up()
        with broken(sqlite_db) as cut:
            cut()
            with pytest.raises(Fault) as caught:
                await follower.catch_up()
            assert caught.value.kind is Kind.UNAVAILABLE
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)

    asyncio.run(run())


def test_a_cancelled_follower_gives_its_connections_back(db: Database, clock: StepClock) -> None:
    async def run() -> None:
        task = asyncio.create_task(follow(Follower(db, clock, 0, poll_s=0.001), until=10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@contextmanager
def broken(db: Database) -> Iterator[Callable[[], object]]:
    """Yield a function that takes the database away; it is there again after the block."""
    if db.path is not None:
        away = db.path.with_name("away.db")
        path = db.path
        yield lambda: path.rename(away)
        away.rename(path)
        return

    def cut() -> None:
        with read(db) as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
                )
            )

    yield cut


def test_it_says_since_when_it_is_blind(db: Database, clock: StepClock) -> None:
    async def run() -> None:
        follower = Follower(db, clock, 0, poll_s=0.001)
        record(db, clock, "one")
        with broken(db) as cut:
            before = clock.now()
            with pytest.raises(Fault) as caught:
                async with aclosing(follower.entries()) as batches:
                    assert [entry.subject for entry in await anext(batches)] == ["one"]
                    assert follower.blind_since is None
                    cut()
                    cut_at = clock.now()
                    await anext(batches)
            assert caught.value.kind is Kind.UNAVAILABLE
            assert follower.blind_since is not None
            assert before <= follower.blind_since <= cut_at
        record(db, clock, "two")
        async with aclosing(follower.entries()) as batches:
            assert [entry.subject for entry in await anext(batches)] == ["two"]
            assert follower.blind_since is None

    asyncio.run(run())


def test_a_database_that_is_not_there_leaves_it_blind_from_the_start(sqlite_db: Database, clock: StepClock) -> None:
    follower = Follower(sqlite_db, clock, 0)
    assert sqlite_db.path is not None
    sqlite_db.path.unlink()
    with pytest.raises(Fault) as caught:
        asyncio.run(follow(follower, until=1))
    assert caught.value.kind is Kind.UNAVAILABLE
    assert follower.blind_since == clock.time
