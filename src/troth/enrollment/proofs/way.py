"""One way of proving who one is, as the parts of an enrollment are: what each offers, and what it has found proven."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from troth.enrollment.definitions import Definition
from troth.enrollment.presented import Presented
from troth.journal.change import Change
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class Shown:
    """What one way has proven."""

    evidence: Mapping[str, object]
    """What an auditor can follow: JSON values, nothing secret."""
    thing: str | None = None
    """The thing that the proof was made for; None where it names none by itself."""
    credential: str | None = None
    """What identifies the holder for good, where the proof was not made for one thing."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What a thing's name may be made of."""
    intent_id: str | None = None
    """What the proof was spent on before, with this very request."""


class ProvingWay(Protocol):
    """A way of proving, for one enrollment and what was shown to it."""

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool) -> Shown:
        """Return what is proven, as `Claim.prove` does. Raises `Fault` (`not_proven`)."""
        ...

    def spend(self, change: Change, shown: Shown, intent_id: str) -> None:
        """Use it up, as `Claim.spend` does."""
        ...


class MakesWay(Protocol):
    """Makes a way of an enrollment and what was shown."""

    def __call__(self, definition: Definition, presented: Presented) -> ProvingWay:
        """Return the way."""
        ...
