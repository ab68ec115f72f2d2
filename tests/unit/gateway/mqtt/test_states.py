"""The table of a session's life holds together."""

import pytest

from troth.errors import Bug
from troth.gateway.mqtt.states import TRANSITIONS, State, entered


def test_every_state_has_its_row_and_can_end() -> None:
    assert set(TRANSITIONS) == set(State)
    for state in set(State) - {State.CLOSED}:
        assert entered(state, State.CLOSED) is State.CLOSED
    assert not TRANSITIONS[State.CLOSED]


def test_nobody_is_live_without_having_been_admitted() -> None:
    ways_in = {before for before, afters in TRANSITIONS.items() if State.LIVE in afters}
    assert ways_in == {State.CONNECTING}
    assert {before for before, afters in TRANSITIONS.items() if State.CONNECTING in afters} == {State.ADMITTING}


@pytest.mark.parametrize(
    ("before", "after"),
    [(State.AWAITING_CONNECT, State.LIVE), (State.ADMITTING, State.LIVE), (State.CLOSED, State.LIVE)],
)
def test_a_way_that_is_not_in_the_table_is_a_bug(before: State, after: State) -> None:
    with pytest.raises(Bug):
        entered(before, after)
