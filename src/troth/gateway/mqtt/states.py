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


TRANSITIONS: Final[Mapping[State, Mapping[State, str]]] = MappingProxyType(
    {
        State.AWAITING_CONNECT: MappingProxyType(
            {State.ADMITTING: "CONNECT", State.CLOSED: "anything else, or nothing in time"}
        ),
        State.ADMITTING: MappingProxyType(
            {State.CONNECTING: "certificate and policy say yes", State.CLOSED: "refused, in CONNACK"}
        ),
        State.CONNECTING: MappingProxyType(
            {State.LIVE: "the broker says yes, and CONNACK goes", State.CLOSED: "no broker, or no right any more"}
        ),
        State.LIVE: MappingProxyType({State.CLOSED: "the device or the broker goes, a right is withdrawn, a breach"}),
        State.CLOSED: MappingProxyType({}),
    }
)
"""For each state those that may follow it, and what leads there. The diagram in docs/mqtt.md is made of this."""


def entered(before: State, after: State) -> State:
    """Return `after`. Raises `Bug` when the table has no way from `before` to there."""
    if after not in TRANSITIONS[before]:
        raise Bug(f"a session cannot go from {before} to {after}")
    return after
