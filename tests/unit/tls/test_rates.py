"""Buckets hold a second's worth, many of them take bounded memory, and a site is one however it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.tls.rates import Bucket, Rates, site_of


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=200), st.floats(0, 1e9))
def test_no_more_than_a_second_s_worth_and_what_has_come_since(rate: int, waits: list[float], start: float) -> None:
    bucket, rates = Bucket(rate), Rates(rate, 1)
    now, taken = start, 0
    for wait in waits:
        now += wait
        is_taken = bucket.take(now)
        assert rates.take("a", now) is is_taken
        taken += is_taken
        assert taken <= rate * (1 + now - start) * 1.0001 + 1e-3


@pytest.mark.parametrize("rate", [1, 7, 100, 2000])
def test_a_full_bucket_is_a_second_s_worth_and_fills_again(rate: int) -> None:
    for start in (0.0, 1_234_567.8):
        bucket = Bucket(rate)
        assert sum(bucket.take(start) for _ in range(3 * rate)) == rate
        assert not bucket.take(start + 0.9 / rate)
        assert sum(bucket.take(start + 1.001) for _ in range(3 * rate)) == rate


def test_what_was_spent_ahead_is_paid_back_first() -> None:
    bucket = Bucket(100)
    bucket.spend(100, 5.0)
    assert not bucket.is_spent(5.0)
    bucket.spend(50, 5.0)
    assert bucket.is_spent(5.4)
    assert not bucket.is_spent(5.51)


def test_one_key_costs_another_nothing_and_what_is_remembered_is_bounded() -> None:
    rates = Rates(1, kept_max=100)
    assert rates.take("honest", 0.0)
    assert not rates.take("honest", 0.5)
    # Whoever has many addresses has each of them once.
    assert all(rates.take(f"flood-{number}", 0.5) for number in range(10_000))
    assert len(rates) == 100
    assert not rates.take("flood-9999", 0.6)


def test_who_was_used_last_is_remembered_longest() -> None:
    rates = Rates(10, kept_max=2)
    assert rates.take("a", 0.0)
    assert rates.take("b", 0.0)
    assert all(rates.take("a", 0.0) for _ in range(9))
    assert rates.take("c", 0.0)
    assert not rates.take("a", 0.0)


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix:path", "unix:path"),
        ("", ""),
    ],
)
def test_a_site_is_one_however_it_is_written(host: str, site: str) -> None:
    assert site_of(host) == site
