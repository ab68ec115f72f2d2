"""The agent's next step: examples by hand, and a device that lives for years by it, with everything going wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from troth.device.schedule import (
    LATEST,
    OWN_RATIO,
    OWN_SPREAD,
    Action,
    Known,
    Life,
    Step,
    ask_again_s,
    back_off_s,
    due_at,
    next_step,
    renew_again_s,
    rest_s,
)
from troth.limits import (
    DEVICE_ASK_S_MAX,
    DEVICE_ASK_S_MIN,
    DEVICE_BACK_OFF_S_MIN,
    DEVICE_LOOK_S_MAX,
    DEVICE_RETRY_S_MAX,
    RETRY_AFTER_S_MAX,
)
from troth.protocols.renewal_info import Window

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LIFE = Life(NOON, NOON + 90 * DAY, 0.5)
LATER = {Action.ASK: 1e9}


def step(now: datetime | None, life: Life = LIFE, hint: Window | None = None, **ready: float) -> Step:
    waits = {**LATER, **{Action[name]: wait for name, wait in ready.items()}}
    return next_step(Known(now, life, hint, waits))


def test_without_the_time_nothing_is_judged() -> None:
    assert step(None, RENEW=0.0) == Step(Action.LEARN_TIME, 0)
    assert step(None, LEARN_TIME=7.0) == Step(Action.LEARN_TIME, 7)


def test_a_young_certificate_is_left_alone_and_looked_at_again() -> None:
    assert step(NOON) == Step(Action.LOOK, DEVICE_LOOK_S_MAX)


def test_by_its_own_ratio_without_a_word_of_the_home() -> None:
    due = NOON + 90 * DAY * (OWN_RATIO + OWN_SPREAD / 2)
    assert step(due - timedelta(seconds=5)) == Step(Action.RENEW, 5)
    assert step(due + 400 * DAY) == Step(Action.RENEW, 0)


@pytest.mark.parametrize("lot", [0.0, 0.25, 0.999])
def test_at_its_own_moment_of_the_homes_window(lot: float) -> None:
    life = Life(LIFE.not_before, LIFE.not_after, lot)
    hint = Window(NOON + 10 * DAY, NOON + 12 * DAY)
    assert due_at(life, hint) == hint.start + 2 * DAY * lot
    assert step(NOON + 13 * DAY, life, hint).action is Action.RENEW


def test_a_home_cannot_put_a_renewal_off_beyond_the_end() -> None:
    hint = Window(NOON + 4000 * DAY, NOON + 4001 * DAY)
    assert due_at(LIFE, hint) == NOON + 90 * DAY * LATEST


def test_what_was_begun_is_finished_at_once() -> None:
    begun = Life(LIFE.not_before, LIFE.not_after, LIFE.lot, unfinished=True)
    assert step(NOON, begun) == Step(Action.RENEW, 0)
    assert step(NOON, begun, RENEW=30.0) == Step(Action.RENEW, 30)


def test_what_has_failed_waits_and_the_home_is_asked_meanwhile() -> None:
    over = NOON + 100 * DAY
    assert step(over, RENEW=300.0) == Step(Action.RENEW, 300)
    assert step(over, RENEW=300.0, ASK=20.0) == Step(Action.ASK, 20)


def test_back_off_doubles_within_bounds() -> None:
    assert [back_off_s(n, 0.999999, 60) for n in range(8)] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], rel=1e-4)
    assert back_off_s(0, 0.0, 60) == DEVICE_BACK_OFF_S_MIN / 2
    assert back_off_s(10**6, 0.0, 60) == 30


def test_near_the_end_attempts_come_closer_together() -> None:
    assert renew_again_s(20, 0.999, 90 * 86_400, None) == pytest.approx(DEVICE_RETRY_S_MAX, rel=1e-2)
    assert renew_again_s(20, 0.999, 1600, None) == pytest.approx(200, rel=1e-2)
    assert 30 <= renew_again_s(20, 0.0, 1, None) <= 60


def test_the_homes_word_is_heeded_as_far_as_there_is_time() -> None:
    assert renew_again_s(0, 0.0, 90 * 86_400, 7200) == 7200
    assert renew_again_s(0, 0.0, 7200, 7 * 86_400) == 1800
    assert renew_again_s(0, 0.0, -5, 7 * 86_400) == DEVICE_RETRY_S_MAX
    assert renew_again_s(0, 0.0, None, 120) == 120


@pytest.mark.parametrize(("told", "wait"), [(None, 21_600), (0, DEVICE_ASK_S_MIN), (1e9, DEVICE_ASK_S_MAX), (600, 600)])
def test_an_answer_holds_for_a_bounded_time(told: float | None, wait: float) -> None:
    assert ask_again_s(told) == wait


def test_a_new_certificate_has_its_rest() -> None:
    assert rest_s(LIFE) == DEVICE_RETRY_S_MAX
    assert rest_s(Life(NOON, NOON + timedelta(minutes=1), 0)) == 6


@given(
    st.none() | st.integers(-20_000, 27_000).map(lambda days: NOON + days * DAY),
    st.floats(0, 0.999),
    st.none() | st.tuples(st.integers(-5000, 5000), st.integers(0, 500)),
    st.dictionaries(st.sampled_from(list(Action)), st.floats(-1e12, 1e12)),
    st.booleans(),
)
def test_a_step_is_always_soon_and_never_in_the_past(
    now: datetime | None, lot: float, window: tuple[int, int] | None, ready: dict[Action, float], begun: bool
) -> None:
    hint = Window(NOON + window[0] * DAY, NOON + sum(window) * DAY) if window else None
    found = next_step(Known(now, Life(NOON, NOON + 90 * DAY, lot, begun), hint, ready))
    assert 0 <= found.in_s <= DEVICE_LOOK_S_MAX
    assert found.in_s >= min(ready.get(found.action, 0.0), DEVICE_LOOK_S_MAX)


class Years(RuleBasedStateMachine):
    """A device and its home. The agent is played by `live`, which does what `next_step` says and nothing else."""

    LASTS_S = 90 * 86_400.0
    GRACE_S = 30 * 86_400.0

    def __init__(self) -> None:
        super().__init__()
        self.true_s = 0.0
        self.clock_off_s = 0.0
        self.is_home_up = True
        self.loses_answer = False
        self.retry_after: float | None = None
        self.window: tuple[float, float] | None = None
        self.begin(0.0)
        self.answered: int | None = None
        self.requests = 0
        self.failures = 0
        self.hint: Window | None = None
        self.next_s = {Action.RENEW: 0.0, Action.ASK: 0.0}
        self.last_attempt_s = float("-inf")

    def begin(self, at: float) -> None:
        self.starts_s, self.ends_s, self.unfinished = at, at + self.LASTS_S, False

    def at(self, seconds: float) -> datetime:
        return NOON + timedelta(seconds=seconds)

    @rule(draw=st.floats(0, 0.999), hours=st.floats(0.1, 24 * 200))
    def live(self, draw: float, hours: float) -> None:
        """Let the powered device live for a while."""
        until, steps = self.true_s + hours * 3600, 0
        while self.true_s < until and steps < 400:
            steps += 1
            life = Life(self.at(self.starts_s), self.at(self.ends_s), 0.5, self.unfinished)
            ready = {action: at - self.true_s for action, at in self.next_s.items()}
            found = next_step(Known(self.at(self.true_s + self.clock_off_s), life, self.hint, ready))
            # What is looked at only costs steps here: go to the next thing that can happen.
            self.true_s = min(until, self.true_s + max(found.in_s, 0.001))
            if self.true_s >= until:
                return
            if found.action is Action.RENEW:
                self.renew(draw, life)
            elif found.action is Action.ASK:
                self.ask(draw)

    def renew(self, draw: float, life: Life) -> None:
        assert self.true_s - self.last_attempt_s >= DEVICE_BACK_OFF_S_MIN / 2 - 1e-3
        self.last_attempt_s = self.true_s
        if not self.unfinished:
            self.unfinished, self.requests = True, self.requests + 1
        left = life.ends_in_s(self.at(self.true_s + self.clock_off_s))
        if self.is_home_up and self.true_s < self.ends_s + self.GRACE_S:
            lost, self.loses_answer = self.loses_answer, False
            self.answered = self.requests
            if not lost:
                # The same request has the same answer: one certificate for each request.
                assert self.answered == self.requests
                self.begin(self.true_s)
                self.failures, self.hint = 0, None
                self.next_s[Action.RENEW] = self.true_s + rest_s(life)
                return
        wait = renew_again_s(self.failures, draw, left, self.retry_after)
        self.failures += 1
        self.next_s[Action.RENEW] = self.true_s + wait

    def ask(self, draw: float) -> None:
        if self.is_home_up and self.true_s < self.ends_s + self.GRACE_S:
            if self.window is not None:
                start, lasts = self.window
                self.hint = Window(self.at(self.starts_s + start), self.at(self.starts_s + start + lasts))
            self.next_s[Action.ASK] = self.true_s + ask_again_s(self.retry_after)
        else:
            self.next_s[Action.ASK] = self.true_s + back_off_s(self.failures, draw, DEVICE_RETRY_S_MAX)

    @rule()
    def home_goes_down(self) -> None:
        self.is_home_up = False

    @rule()
    def home_comes_up(self) -> None:
        self.is_home_up = True

    @rule()
    def answer_gets_lost(self) -> None:
        self.loses_answer = True

    @rule(told=st.none() | st.floats(0, RETRY_AFTER_S_MAX))
    def home_says_when_to_come_again(self, told: float | None) -> None:
        self.retry_after = told

    @rule(start=st.floats(-1e8, 1e8), lasts=st.floats(0, 1e7))
    def home_says_a_window(self, start: float, lasts: float) -> None:
        self.window = (start, lasts)

    @rule(days=st.floats(0, 25))
    def device_is_off(self, days: float) -> None:
        """Off within what the grace leaves, as long as it is not yet over; it forgets what it only remembered."""
        self.true_s += min(days * 86_400, max(0.0, self.ends_s + self.GRACE_S - 2 * 86_400 - self.true_s))
        self.next_s = dict.fromkeys(self.next_s, self.true_s)
        self.failures, self.hint, self.last_attempt_s = 0, None, float("-inf")

    @rule(off=st.floats(-50 * 365 * 86_400, 50 * 365 * 86_400))
    def clock_jumps(self, off: float) -> None:
        self.clock_off_s = off

    @rule(draw=st.floats(0, 0.999))
    def all_is_well_again(self, draw: float) -> None:
        """A right clock, a home that is up: within a retry's time of what is due, the certificate is good."""
        self.clock_off_s, self.is_home_up, self.loses_answer, self.retry_after = 0.0, True, False, None
        self.window = None
        if self.true_s >= self.ends_s + self.GRACE_S - self.LASTS_S / 4 * 1.1:
            return
        self.hint = None
        if self.true_s > self.starts_s + self.LASTS_S * LATEST or self.unfinished:
            self.live(draw, hours=self.LASTS_S / 4 * 1.1 / 3600 + DEVICE_RETRY_S_MAX / 3600)
            assert self.true_s < self.ends_s
            assert not self.unfinished

    @invariant()
    def no_wait_is_beyond_its_bound(self) -> None:
        assert self.next_s[Action.ASK] - self.true_s <= max(DEVICE_ASK_S_MAX, DEVICE_RETRY_S_MAX)
        assert self.next_s[Action.RENEW] - self.true_s <= RETRY_AFTER_S_MAX * 1.1


TestYears = pytest.mark.slow(Years.TestCase)
TestYears.settings = settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
