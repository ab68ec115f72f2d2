"""What a worker knows of keys and numbers: out of date as soon as the journal says so, and sent until it is taken."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.evidence import Site

from troth.errors import Fault
from troth.evidence.outcome import Outcome
from troth.gateway.readings import Checker, Readings
from troth.journal.change import change
from troth.journal.entries import head, list_after
from troth.protocols.mqtt import build_publish
from troth.registry.states import hold, release
from troth.store.read import read
from troth.testing.authority import Held
from troth.x509.subjects import thing_of

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.authority.close()


class Worker:
    """One worker's readings, and the journal as it was when it looked last."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.db = site.authority.db
        self.readings = Readings(self.db, site.clock)
        self.position = self._head()

    async def session(self, held: Held) -> Checker:
        checker = self.readings.checker(held.certificate_id, thing_of(held.certificate.subject))
        await self.readings.open(checker)
        return checker

    def hear(self) -> None:
        """Be told of what has come to the journal, and do nothing else yet."""
        with read(self.db) as connection:
            entries = list_after(connection, self.position)
        self.position = self._head()
        self.readings.apply(entries)

    def judged(self, checker: Checker, held: Held, number: int) -> Outcome:
        packet = build_publish(f"home/{checker.thing}/power", self.site.reading(held, number))
        return self.readings.judge(checker, packet).outcome

    def _head(self) -> int:
        with read(self.db) as connection:
            return head(connection)


@contextmanager
def gone(site: Site, folder: Path) -> Iterator[None]:
    """Take the database away for the length of the block."""
    file = next(folder.glob("*.db"))
    away = file.rename(folder / "away")
    site.authority.db.dispose()
    file.mkdir()
    yield
    file.rmdir()
    away.rename(file)


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a_key_is_out_as_soon_as_the_journal_is_heard(site: Site) -> None:
    async def scene() -> None:
        meter, other = site.authority.device("meter-7"), site.authority.device("meter-8")
        worker = Worker(site)
        checker, bystander = await worker.session(meter), await worker.session(other)
        assert worker.judged(checker, meter, 1) is Outcome.VERIFIED
        with change(site.authority.db, site.clock, "test") as changing:
            hold(changing, meter.certificate_id)
        worker.hear()
        # Nothing has been looked up since.
        assert worker.judged(checker, meter, 2) is Outcome.INACTIVE_KEY
        assert worker.judged(bystander, other, 1) is Outcome.VERIFIED
        with change(site.authority.db, site.clock, "test") as changing:
            release(changing, meter.certificate_id)
        worker.hear()
        await worker.readings.renew()
        assert worker.judged(checker, meter, 2) is Outcome.VERIFIED
        site.authority.revoke(meter)
        worker.hear()
        assert worker.judged(checker, meter, 3) is Outcome.REVOKED_KEY

    play(scene())


def test_a_new_certificate_of_the_thing_counts_once_it_is_known(site: Site) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        worker = Worker(site)
        checker = await worker.session(meter)
        new = site.authority.device("meter-7")
        assert worker.judged(checker, new, 1) is Outcome.WRONG_KEY
        worker.hear()
        await worker.readings.renew()
        assert worker.judged(checker, new, 1) is Outcome.VERIFIED

    play(scene())


def test_a_worker_begins_where_another_left_off(site: Site) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        one, other = Worker(site), Worker(site)
        checker = await one.session(meter)
        assert [one.judged(checker, meter, number) for number in (1, 2)] == [Outcome.VERIFIED] * 2
        one.readings.close(checker)
        await one.readings.flush()
        returned = await other.session(meter)
        assert [other.judged(returned, meter, number) for number in (2, 3)] == [Outcome.REPLAYED, Outcome.VERIFIED]

    play(scene())


def test_two_that_serve_one_device_at_once_learn_of_each_other(site: Site) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        one, other = Worker(site), Worker(site)
        here, there = await one.session(meter), await other.session(meter)
        assert one.judged(here, meter, 7) is Outcome.VERIFIED
        assert other.judged(there, meter, 8) is Outcome.VERIFIED
        await one.readings.flush()
        await other.readings.flush()
        assert other.judged(there, meter, 7) is Outcome.REPLAYED
        # The first one hears of it when it next sends.
        assert one.judged(here, meter, 9) is Outcome.MISSING
        await one.readings.flush()
        assert one.judged(here, meter, 8) is Outcome.REPLAYED

    play(scene())


def test_what_the_database_does_not_take_is_sent_again(site: Site, tmp_path: Path) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        worker = Worker(site)
        checker = await worker.session(meter)
        assert worker.judged(checker, meter, 5) is Outcome.VERIFIED
        worker.readings.close(checker)
        with gone(site, tmp_path):
            await worker.readings.flush()
            with pytest.raises(Fault):
                await worker.session(meter)
        await worker.readings.flush()
        other = Worker(site)
        assert other.judged(await other.session(meter), meter, 5) is Outcome.REPLAYED

    play(scene())


def test_a_session_of_no_thing_signs_with_its_own_certificate_alone(site: Site) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        worker = Worker(site)
        checker = worker.readings.checker(meter.certificate_id, None)
        await worker.readings.open(checker)
        signed = site.reading(meter, 1, thing=None)
        packet = build_publish("home/meter-7/power", signed)
        assert worker.readings.judge(checker, packet).outcome is Outcome.VERIFIED
        named = build_publish("home/meter-7/power", site.reading(meter, 2))
        assert worker.readings.judge(checker, named).outcome is Outcome.MOVED_THING

    play(scene())


def test_what_no_session_uses_is_forgotten_once_it_is_stored(site: Site) -> None:
    async def scene() -> None:
        meter = site.authority.device("meter-7")
        worker = Worker(site)
        one, other = await worker.session(meter), await worker.session(meter)
        assert worker.judged(one, meter, 1) is Outcome.VERIFIED
        worker.readings.close(one)
        await worker.readings.flush()
        assert worker.judged(other, meter, 1) is Outcome.REPLAYED
        assert worker.judged(other, meter, 2) is Outcome.VERIFIED
        worker.readings.close(other)
        assert worker.readings.kept == 1
        await worker.readings.flush()
        assert worker.readings.kept == 0

    play(scene())
