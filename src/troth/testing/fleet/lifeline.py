"""The home's comings and goings: it is stopped, or dies in the middle of something, and comes back some time later."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

from troth.limits import INTENT_AGE_S_MAX
from troth.testing.fleet.cuts import Cuts, PowerCut
from troth.testing.fleet.estate import Estate
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.loop import VirtualLoop
from troth.testing.fleet.operator import away_s
from troth.testing.fleet.session import Session


class Lifeline:
    """One home after the other, over one estate."""

    def __init__(self, estate: Estate, loop: VirtualLoop, cuts: Cuts, random: Callable[[str], Random]) -> None:
        self.home: Home | None = None
        self.up_since_s = 0.0
        self.sessions: list[Session] = []
        self._estate, self._loop, self._cuts = estate, loop, cuts
        self._random, self._deaf = random("lifeline"), random("authority")
        cuts.on_home_cut = self._died

    def open(self) -> None:
        """Let there be a home, now or a little later."""
        if self.home is not None:
            return
        try:
            home = Home(self._estate, self._is_deaf)
        except (HomeDown, PowerCut):
            self._loop.call_later(away_s(self._random), self.open)
            return
        self.home, self.up_since_s = home, self._loop.time()

    def stop(self, for_s: float) -> None:
        """End the home in order, for so many seconds."""
        home, self.home = self.home, None
        if home is not None:
            self._bury(home, for_s)

    def close(self) -> None:
        """End it for good."""
        if self.home is not None:
            self.home.close()

    def _died(self) -> None:
        """Hear, in the middle of its work, that it is dead."""
        home, self.home = self.home, None
        if home is not None:
            home.die()
            self._loop.call_soon(self._bury, home, away_s(self._random))

    def _bury(self, home: Home, for_s: float) -> None:
        home.close()
        for session in self.sessions:
            session.drop()
        self.sessions.clear()
        self._loop.call_later(for_s, self.open)

    def _is_deaf(self) -> bool:
        """Say whether the authority hears nothing this time; it then comes to it some time later."""
        if self._deaf.random() > 0.02:
            return False
        self._loop.call_later(self._deaf.uniform(1.0, 1.5 * INTENT_AGE_S_MAX), self._hear)
        return True

    def _hear(self) -> None:
        if self.home is not None:
            with suppress(HomeDown):
                self.home.settle()
