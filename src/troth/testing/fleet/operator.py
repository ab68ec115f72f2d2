"""Who looks after the simulated home: duties, rollovers, devices that are stolen; and what goes wrong with it."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from troth.authority.rollover import retire, roll_over
from troth.enrollment.withdraw import withdraw_thing
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry.issuers import IssuerState, list_issuers
from troth.store.read import read
from troth.testing.fleet.cuts import Cuts
from troth.testing.fleet.device import DAY_S, Device
from troth.testing.fleet.estate import NAME, OPERATOR, Estate
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.watcher import Watcher
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose

ROLLOVERS: Final = (
    (0.15, ("devices",)),
    (0.3, ("root", "servers", "devices", "operators")),
    (0.65, ("root", "servers", "devices", "operators")),
)
"""At which part of the time which lines are rolled over."""
EVERY_DAYS: Final = 14
"""What a home does every minute or hour, it does as seldom here: each of its duties is harmless late."""
CRLS_EVERY: Final = 40
"""Of those turns: each time some seventy CRLs are signed."""


class Operator:
    """The people of a home. `home` is asked for anew each time: it comes and goes."""

    def __init__(
        self, estate: Estate, home: Callable[[], Home | None], random: Random, watcher: Watcher, lasts_s: float
    ) -> None:
        self._estate, self._home, self._random, self._watcher = estate, home, random, watcher
        self._lasts_s = lasts_s
        self.rollovers = self.retired = self.withdrawn = 0
        self.refusals: set[str] = set()
        """Why something could not be retired, in words."""

    async def look_after(self) -> None:
        """Do what is due, for ever."""
        turn, left = 0, [(part * self._lasts_s, line) for part, lines in ROLLOVERS for line in lines]
        while True:
            await asyncio.sleep(EVERY_DAYS * DAY_S)
            turn += 1
            home = self._home()
            if home is None:
                continue
            try:
                self._do_duties(home, turn)
                while left and asyncio.get_running_loop().time() >= left[0][0]:
                    if not self._roll_over(home, left[0][1]):
                        break
                    left.pop(0)
                self._retire(home)
            except HomeDown:
                continue

    def withdraw(self, home: Home, device: Device) -> None:
        """Take a stolen device out of the fleet. Raises `HomeDown`."""

        def work() -> None:
            with change(home.db, home.clock, OPERATOR) as changing:
                withdraw_thing(changing, device.name, Reason.KEY_COMPROMISE)

        home.work(work)
        self.withdrawn += 1

    def _do_duties(self, home: Home, turn: int) -> None:
        home.do_duties(crls=turn % CRLS_EVERY == 0)
        home.work(lambda: self._estate.certify_doors(home.db))
        self._watcher.overlap(home.db, home.clock.now())
        home.work(self._estate.signer(home.db).sign)

    def _roll_over(self, home: Home, line: str) -> bool:
        try:
            home.work(lambda: roll_over(self._estate.ceremony(home.db), site=NAME, line=line, names=()))
        except Fault as fault:
            if fault.kind is not Kind.CONFLICT:
                raise
            return False
        home.work(lambda: self._estate.certify_doors(home.db))
        self.rollovers += 1
        return True

    def _retire(self, home: Home) -> None:
        """Retire what is superseded, as soon as that is allowed."""
        with read(home.db) as connection:
            issuers = list_issuers(connection)
        due = [each for each in issuers if each.state is IssuerState.SUPERSEDED]
        for issuer in sorted(due, key=lambda each: each.purpose is Purpose.ROOT):
            try:
                home.work(partial(retire, self._estate.ceremony(home.db), issuer.name))
                self.retired += 1
            except Fault as fault:
                self.refusals |= {part.message for part in fault.parts}


class Trouble:
    """What goes wrong with the home: it is restarted, dies, or is away."""

    def __init__(self, cuts: Cuts, random: Random, stop: Callable[[float], None]) -> None:
        """`stop` ends the home for so many seconds."""
        self._cuts, self._random, self._stop = cuts, random, stop
        self.restarts = 0

    async def make(self) -> None:
        """Make it, for ever."""
        while True:
            await asyncio.sleep(self._random.uniform(4.0, 40.0) * DAY_S)
            if self._random.random() < 0.6:
                self._cuts.arm_home(self._random.randrange(1, 60))
            else:
                self.restarts += 1
                self._stop(away_s(self._random))


def away_s(random: Random) -> float:
    """Return for how long a home is gone: seconds, or now and then a day or two."""
    return random.uniform(0.2, 1.5) * DAY_S if random.random() < 0.05 else random.uniform(1.0, 600.0)
