from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import PeerFault
from troth.evidence.outcome import Outcome
from troth.evidence.window import Window, parse_window
from troth.limits import READING_REPEATS, READING_WINDOW

numbers = st.lists(st.integers(1, 200), max_size=80)


def taken(sequences: list[int]) -> tuple[Window, list[Outcome]]:
    window = Window()
    return window, [window.take(each, b"%d" % each) for each in sequences]


def test_numbers_that_grow_are_in_place() -> None:
    assert taken([5, 6, 7])[1] == [Outcome.VERIFIED] * 3


def test_what_was_left_out_is_counted() -> None:
    window, outcomes = taken([5, 9])
    assert outcomes == [Outcome.VERIFIED, Outcome.MISSING]
    assert window.missing == 3


def test_what_comes_late_and_what_comes_again_are_told_apart() -> None:
    assert taken([5, 9, 7, 7, 9])[1][2:] == [Outcome.REORDERED, Outcome.REPLAYED, Outcome.REPLAYED]


def test_what_is_too_far_behind_is_refused() -> None:
    assert taken([1, 1 + READING_WINDOW, 1])[1][2] is Outcome.REPLAYED
    assert taken([1000, 1000 - READING_WINDOW])[1][1] is Outcome.REPLAYED
    assert taken([1000, 1001 - READING_WINDOW])[1][1] is Outcome.REORDERED


def test_the_very_same_bytes_may_be_sent_again_where_that_is_said() -> None:
    window, _ = taken([1, 2, 3])
    assert window.take(2, b"2", again=True) is Outcome.REPEATED
    assert window.take(2, b"2") is Outcome.REPLAYED
    assert window.take(2, b"another", again=True) is Outcome.REPLAYED
    for number in range(4, 4 + READING_REPEATS):
        window.take(number, b"%d" % number)
    assert window.take(2, b"2", again=True) is Outcome.REPLAYED


@given(numbers)
def test_no_number_counts_twice(sequences: list[int]) -> None:
    counted = [
        each
        for each, outcome in zip(sequences, taken(sequences)[1], strict=True)
        if outcome in {Outcome.VERIFIED, Outcome.MISSING, Outcome.REORDERED}
    ]
    assert len(counted) == len(set(counted))


@given(numbers, st.integers(0, 80))
def test_a_window_that_was_stored_goes_on_as_it_was(sequences: list[int], cut: int) -> None:
    window, whole = taken(sequences)
    begun, outcomes = taken(sequences[:cut])
    stored = parse_window(begun.render())
    assert outcomes + [stored.take(each, b"%d" % each) for each in sequences[cut:]] == whole
    assert stored.render() == window.render()


@given(numbers, numbers)
def test_what_either_of_two_has_seen_is_replayed_after_they_met(one: list[int], other: list[int]) -> None:
    window = taken(one)[0]
    window.merge(taken(other)[0])
    assert window.highest == max([*one, *other], default=0)
    assert all(window.take(each, b"") is Outcome.REPLAYED for each in [*one, *other])


@given(st.binary(max_size=400))
def test_any_bytes_are_a_window_or_a_fault(data: bytes) -> None:
    with suppress(PeerFault):
        assert parse_window(data).highest == int.from_bytes(data[:8])


def test_bytes_of_more_than_a_window_are_refused() -> None:
    with pytest.raises(PeerFault):
        parse_window(bytes(16 + 16 * (READING_REPEATS + 1)))
