"""How an operator's command reaches the keys: by the authority that runs, or in this process with the home's own keys.

The door is the same. An authority that runs signs for things alone; what servers and operators are to show is signed
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
from troth.authority.hierarchy import FOR_THINGS
from troth.authority.settle import settle_all
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
        return runs and purpose in FOR_THINGS

    def issuance(self, purpose: Purpose, cabinet: Callable[[], KeyCabinet]) -> Issuance:
        """Return the way to certificates for this purpose; `cabinet` is asked for where its key is needed here.

        Raises `Fault` as the cabinet does: not found, bad key.
        """
        url = self.settings.site.public_url
        rouse: Callable[[], object] = partial(ring, self.home.doorbell)
        if not self.is_signed_elsewhere(purpose):
            rouse = partial(settle_all, self.db, self.clock, open_door(self.db, cabinet(), url, (purpose,)))
        return Issuance(self.db, self.clock, self.actor, url, rouse, WAIT_S)
