from datetime import timedelta

import pytest

from troth.gateway.http.attempts import FailedAttempts
from troth.limits import ADDRESSES_WATCHED_MAX, FAILED_PROOFS_PER_MINUTE_MAX
from troth.testing.clock import FakeClock


def fail(attempts: FailedAttempts, host: str, times: int = FAILED_PROOFS_PER_MINUTE_MAX) -> None:
    for _ in range(times):
        attempts.failed(host)


def test_so_many_failures_are_borne_and_no_more() -> None:
    clock = FakeClock()
    attempts = FailedAttempts(clock)
    fail(attempts, "192.0.2.1", FAILED_PROOFS_PER_MINUTE_MAX - 1)
    assert attempts.wait_s("192.0.2.1") == 0
    clock.advance(timedelta(seconds=20))
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 40
    clock.advance(timedelta(seconds=40))
    assert attempts.wait_s("192.0.2.1") == 0
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 0


def test_nobody_waits_for_somebody_elses_failures() -> None:
    attempts = FailedAttempts(FakeClock())
    fail(attempts, "192.0.2.1")
    assert attempts.wait_s("192.0.2.2") == 0


@pytest.mark.parametrize(
    ("host", "together"),
    [("2001:db8::ffff", True), ("2001:db8:0:0:9::1", True), ("2001:db8:0:1::1", False), ("::ffff:192.0.2.1", False)],
)
def test_an_ipv6_customer_is_one_address(host: str, together: bool) -> None:
    attempts = FailedAttempts(FakeClock())
    fail(attempts, "2001:db8::1")
    assert (attempts.wait_s(host) > 0) is together


def test_v4_addresses_in_v6_clothes_are_told_apart() -> None:
    attempts = FailedAttempts(FakeClock())
    fail(attempts, "::ffff:192.0.2.1")
    assert attempts.wait_s("::ffff:192.0.2.2") == 0


def test_what_is_no_address_counts_as_it_is() -> None:
    attempts = FailedAttempts(FakeClock())
    fail(attempts, "")
    assert attempts.wait_s("") > 0


@pytest.mark.parametrize("moved", [timedelta(days=-365), timedelta(days=365)])
def test_a_clock_that_jumps_locks_nobody_out(moved: timedelta) -> None:
    clock = FakeClock()
    attempts = FailedAttempts(clock)
    fail(attempts, "192.0.2.1")
    clock.advance(moved)
    assert attempts.wait_s("192.0.2.1") <= 60
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 0


def test_what_is_remembered_is_bounded() -> None:
    attempts = FailedAttempts(FakeClock())
    fail(attempts, "192.0.2.1")
    for number in range(ADDRESSES_WATCHED_MAX):
        attempts.failed(f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}")
    assert attempts.wait_s("192.0.2.1") == 0
    assert len(attempts._failures) == ADDRESSES_WATCHED_MAX
