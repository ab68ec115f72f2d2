"""How an operator's command reaches the keys: by the authority that runs, or in this process with the home's own keys.

The door is the same. An authority that runs signs for devices alone; what servers and operators are to show is signed
here, by who can read the keys of this home.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from troth.app.home import Home
from troth.app.settings import Settings
from troth.app.wiring.door import open_door
from troth.authority.bell import answers, ring
from troth.authority.bulk import Issuance
from troth.authority.ceremony import KeyCabinet
from troth.authority.door import Door
from troth.authority.settle import settle_waiting
from troth.clock import Clock
from troth.store.connect import Database
from troth.x509.profiles import Purpose

WAIT_S: Final = 30.0
"""How long a command waits for an authority from which nothing comes."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where an operator's command issues."""

    home: Home
    settings: Settings
    db: Database
    clock: Clock
    actor: str

    def is_signed_elsewhere(self, purpose: Purpose) -> bool:
        """Say whether an authority signs for `purpose` that runs, here or on another host."""
        runs = answers(self.home.doorbell) or not self.settings.processes.authority
        return runs and purpose is Purpose.DEVICES

    def issuance(self, purpose: Purpose, cabinet: Callable[[], KeyCabinet]) -> Issuance:
        """Return the way to certificates for this purpose; `cabinet` is asked for where its key is needed here.

        Raises `Fault` as the cabinet does: not found, bad key.
        """
        url = self.settings.site.public_url
        door = None if self.is_signed_elsewhere(purpose) else open_door(self.db, cabinet(), url, (purpose,))
        rouse = partial(_rouse, self.db, self.clock, self.home, door)
        return Issuance(self.db, self.clock, self.actor, url, rouse, WAIT_S)


def _rouse(db: Database, clock: Clock, home: Home, door: Door | None) -> None:
    """Ring for the authority, and sign what waits for the keys that are here. Raises `Fault` (unavailable)."""
    ring(home.doorbell)
    while door is not None:
        progress = settle_waiting(db, clock, door)
        if progress.obstacle is not None:
            raise progress.obstacle
        if progress.settled == 0:
            return
