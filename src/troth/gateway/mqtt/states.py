"""The life of a session as a table. Everything that decides which step may follow which stands in this file."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from troth.errors import Bug


class State(StrEnum):
    """Where a session is."""

    AWAITING_CONNECT = "awaiting-connect"
    """The peer is proven and has not said CONNECT; nothing is sent to anybody."""
    ADMITTING = "admitting"
    """Its CONNECT is being decided."""
    CONNECTING = "connecting"
    """It is admitted, and the broker has not accepted it yet."""
    LIVE = "live"
    CLOSED = "closed"


TRANSITIONS: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.AWAITING_CONNECT: frozenset({State.ADMITTING, State.CLOSED}),
        State.ADMITTING: frozenset({State.CONNECTING, State.CLOSED}),
        State.CONNECTING: frozenset({State.LIVE, State.CLOSED}),
        State.LIVE: frozenset({State.CLOSED}),
        State.CLOSED: frozenset(),
    }
)


def entered(before: State, after: State) -> State:
    """Return `after`. Raises `Bug` when the table has no way from `before` to there."""
    if after not in TRANSITIONS[before]:
        raise Bug(f"a session cannot go from {before} to {after}")
    return after
