"""Work that is gathered, and conclusions that come before anybody waits for them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from troth.enrollment.conclusions import Conclusions
from troth.enrollment.together import Together
from troth.evidence.entry import Entry


class Recorded:
    """Work that notes the batches it is given, and goes on when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = asyncio.Event()
        self.go = asyncio.Event()

    async def work(self, asked: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(asked))
        self.began.set()
        await self.go.wait()
        return [ValueError(str(each)) if each < 0 else each * 10 for each in asked]


def test_who_comes_while_a_batch_is_under_way_shares_the_next() -> None:
    async def run() -> None:
        recorded = Recorded()
        together = Together(recorded.work, most=3)
        first = asyncio.create_task(together.do(1))
        await recorded.began.wait()
        later = [asyncio.create_task(together.do(each)) for each in (2, -3, 4, 5)]
        await asyncio.sleep(0)
        recorded.go.set()
        outcomes = await asyncio.gather(first, *later, return_exceptions=True)
        assert recorded.batches == [[1], [2, -3, 4], [5]]
        assert [outcomes[0], outcomes[1], *outcomes[3:]] == [10, 20, 40, 50]
        assert isinstance(outcomes[2], ValueError)
        # Who comes after a pause is served too.
        assert await together.do(6) == 60

    asyncio.run(run())


def test_who_goes_away_keeps_nobody_waiting() -> None:
    async def run() -> None:
        recorded = Recorded()
        together = Together(recorded.work, most=3)
        gone, stays = (asyncio.create_task(together.do(each)) for each in (1, 2))
        await recorded.began.wait()
        gone.cancel()
        recorded.go.set()
        assert await stays == 20

    asyncio.run(run())


def test_what_breaks_the_work_is_told_to_all_of_the_batch_and_to_nobody_else() -> None:
    async def run() -> None:
        broken = True

        async def work(asked: Sequence[int]) -> list[int | Exception]:
            if broken:
                raise ZeroDivisionError
            return list(asked)

        together = Together(work, most=3)
        outcomes = await asyncio.gather(together.do(1), together.do(2), return_exceptions=True)
        assert [type(each) for each in outcomes] == [ZeroDivisionError, ZeroDivisionError]
        broken = False
        assert await together.do(3) == 3

    asyncio.run(run())


def test_the_first_of_a_crowd_begins_at_once_and_the_next_after_a_pause() -> None:
    async def run() -> None:
        began: list[float] = []
        loop = asyncio.get_running_loop()

        async def work(asked: Sequence[int]) -> list[int | Exception]:
            began.append(loop.time())
            return list(asked)

        together = Together(work, most=1, pause_s=0.03)
        await asyncio.gather(*(together.do(each) for each in range(3)))
        assert all(later - earlier > 0.029 for earlier, later in pairwise(began))
        patient = Together(work, most=1, pause_s=3600.0)
        async with asyncio.timeout(60):
            assert await patient.do(4) == 4

    asyncio.run(run())


def concluded(number: int) -> Entry:
    data = {"intent": f"intent-{number}"}
    return Entry(number, datetime.now(UTC), "system:authority", "certificate.issued", "x", data)


@pytest.mark.parametrize("first", ["entry", "wait"])
def test_a_conclusion_is_heard_whether_it_comes_before_or_after_the_wait_begins(first: str) -> None:
    conclusions = Conclusions()
    assert not conclusions.is_awaited
    if first == "entry":
        conclusions.apply([concluded(1)])
    with conclusions.awaited("intent-1") as event, conclusions.awaited("intent-2") as other:
        assert conclusions.is_awaited
        if first == "wait":
            assert not event.is_set()
            conclusions.apply([concluded(1)])
        assert event.is_set()
        assert not other.is_set()
    assert not conclusions.is_awaited


def test_of_long_past_conclusions_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("troth.enrollment.conclusions._PAST_MAX", 2)
    conclusions = Conclusions()
    conclusions.apply([concluded(number) for number in range(1, 4)])
    heard = []
    for number in range(1, 4):
        with conclusions.awaited(f"intent-{number}") as event:
            heard.append(event.is_set())
    assert heard == [False, True, True]
