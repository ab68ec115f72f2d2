"""Ending sessions by hand: an entry in the journal that every worker on every host follows. Changes nothing else.

AWS IoT's DeleteConnection: the client is closed, its will is published unless that is prevented, and it may come again
at once.
"""

from dataclasses import asdict, dataclass
from typing import Final

from troth.errors import Bug
from troth.journal.change import Change
from troth.journal.record import Entry
from troth.registry.sessions import Which, count_sessions

SESSION_KICKED: Final = "session.kicked"


@dataclass(frozen=True, slots=True)
class Kick:
    """Which sessions to end."""

    which: Which
    sends_will: bool

    def hits(self, client_id: str | None, thing: str | None, certificate_id: str) -> bool:
        """Say whether a session is one of them."""
        wanted = (self.which.client_id, self.which.thing, self.which.certificate_id)
        own = (client_id, thing, certificate_id)
        return any(wanted) and all(one is None or one == other for one, other in zip(wanted, own, strict=True))


def kick(change: Change, which: Which, *, sends_will: bool = True) -> int:
    """End the sessions that are live when the change is committed and meet every condition of `which`.

    Returns how many of them are listed now; the list is as of the last second, and one that is younger ends as well.
    Where a client id belongs to several owners, all of theirs end unless `which` says whose. Raises `Bug` when `which`
    says nothing.
    """
    if which == Which():
        raise Bug("a kick of everybody")
    change.record(SESSION_KICKED, _subject(which), **asdict(which), will=sends_will)
    return count_sessions(change.connection, change.at, which)


def parse_kick(entry: Entry) -> Kick:
    """Return what an entry of this kind says."""
    said = {name: entry.data.get(name) for name in ("client_id", "thing", "certificate_id")}
    which = Which(**{name: None if value is None else str(value) for name, value in said.items()})
    return Kick(which, bool(entry.data["will"]))


def _subject(which: Which) -> str:
    return next(each for each in (which.client_id, which.thing, which.certificate_id) if each is not None)
