"""What an agent tells of its work: an event's name and what goes with it, for whoever keeps a log."""

from enum import StrEnum
from typing import Protocol

from troth.errors import Fault


class Event(StrEnum):
    """What can happen."""

    CONNECTED = "connected"
    NOT_CONNECTED = "not-connected"
    DISCONNECTED = "disconnected"
    SWITCHING = "switching"
    """A new credential is there: a connection is made with it before the old one ends."""
    SUBSCRIPTION_REFUSED = "subscription-refused"
    RENEWED = "renewed"
    NOT_RENEWED = "not-renewed"
    WENT_BACK = "went-back"
    """The home did not take the new credential and takes the one before, which is in use again."""
    PREVIOUS_REMOVED = "previous-removed"
    """The new credential has worked; the one before is gone."""
    HOME_ASKED = "home-asked"
    HOME_NOT_ASKED = "home-not-asked"
    TRUST_CHANGED = "trust-changed"
    TIME_UNKNOWN = "time-unknown"
    SET_ASIDE = "set-aside"
    """The home ends the connection whenever it is sent this reading: it is out of the way of the others."""
    MESSAGE = "message"
    LISTENING = "listening"
    NEIGHBOUR_IN = "neighbour-in"
    """Another device has proven who it is, and is expected."""
    NEIGHBOUR_GONE = "neighbour-gone"
    NEIGHBOUR_REFUSED = "neighbour-refused"
    """Somebody came who is no neighbour, or to whom this device is none."""
    PEER_RENEWED = "peer-renewed"
    """There is another certificate to show to neighbours."""
    PEER_NOT_RENEWED = "peer-not-renewed"
    QUEUE_BROKEN = "queue-broken"


class Tell(Protocol):
    """Takes note of an event. Must not block or raise."""

    def __call__(self, event: Event, **fields: object) -> None:
        """Take note of `event`; `fields` are texts, numbers, truth values and times."""
        ...


def reason(fault: Fault) -> dict[str, object]:
    """Return what a fault adds to an event."""
    said: dict[str, object] = {"kind": fault.kind.value, "reason": fault.message}
    return said | ({"detail": fault.detail} if fault.detail else {})
