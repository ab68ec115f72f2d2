from datetime import UTC, datetime, timedelta

from troth.device.waiting import Wait


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = datetime(1970, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


def test_what_has_gone_by_is_no_longer_left() -> None:
    clock = SetClock()
    wait = Wait(clock, 10)
    clock.time += timedelta(seconds=4)
    assert wait.left_s() == 6
    clock.time += timedelta(seconds=7)
    assert wait.left_s() == 0
    assert wait.is_over


def test_a_wait_without_end_has_none() -> None:
    clock = SetClock()
    wait = Wait(clock, None)
    clock.time += timedelta(days=9000)
    wait.passed(5)
    assert wait.left_s() is None
    assert not wait.is_over


def test_a_clock_that_stands_still_does_not_stop_the_wait() -> None:
    wait = Wait(SetClock(), 10)
    wait.passed(4)
    assert wait.left_s() == 6
    wait.passed(6)
    assert wait.is_over


def test_a_clock_set_back_a_year_makes_no_wait_longer() -> None:
    clock = SetClock()
    wait = Wait(clock, 10)
    clock.time -= timedelta(days=365)
    wait.passed(4)
    assert wait.left_s() == 6
    clock.time += timedelta(seconds=3)
    assert wait.left_s() == 3


def test_time_is_not_counted_twice() -> None:
    clock = SetClock()
    wait = Wait(clock, 10)
    clock.time += timedelta(seconds=4)
    wait.passed(4)
    assert wait.left_s() == 6
