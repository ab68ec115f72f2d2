"""A simulated home at work: the real doors, enrollment, authority and admission over a real database; no socket.

It dies whenever `cuts` says so, in the middle of whatever it does, and another one is made of what it leaves. The
gateway and the authority share its loop and follow the journal each time that either has something to do.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from troth.app.duties import duties
from troth.app.wiring.door import open_crl_door, open_door
from troth.authority.settle import settle_all
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.flow import Enrollment
from troth.gateway.admission import Admission, Admitted
from troth.gateway.first_use import FirstUses
from troth.gateway.grants import Peer
from troth.gateway.http.attempts import FailedAttempts
from troth.gateway.http.est import ESTDoor
from troth.gateway.http.grace import Grace, tells_of_profiles
from troth.gateway.http.issuers import Issuers, tells_of_issuers
from troth.gateway.principals import Principals
from troth.journal.tail import head, read_after
from troth.limits import DEFAULT, ENROLLMENT_WAIT_S_MAX
from troth.names import Realm
from troth.protocols.mqtt import Connect
from troth.store.read import read
from troth.testing.fleet.cuts import PowerCut
from troth.testing.fleet.estate import KEEP_EXPIRED, PUBLIC_URL, Estate
from troth.testing.fleet.http import Exchange, answered
from troth.testing.fleet.loop import Stuck, VirtualLoop
from troth.x509.profiles import Purpose

CRLS: Final = "publish-crls"
"""The one duty that is not done each time: it signs some seventy CRLs, and devices read none of them."""

_T = TypeVar("_T")


class HomeDown(Exception):
    """There is no home at the moment, or it has just died."""


class Home:
    """One life of a home, from a start to a stop or a cut."""

    def __init__(self, estate: Estate, is_idle: Callable[[], bool]) -> None:
        """`is_idle` says, each time that the authority is rung for, whether it does not hear."""
        self.estate, self.clock = estate, estate.clock
        self.is_dead = False
        self._is_idle = is_idle
        self._loop = VirtualLoop()
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self.db = estate.db
        self.issuers, self.grace = Issuers(self.db), Grace(self.db, self.clock)
        self._conclusions = Conclusions()
        self._principals = Principals(self.db, DEFAULT)
        self._first_uses = FirstUses(self.db, self.clock)
        self._enrollment = Enrollment(
            self.db, self.clock, PUBLIC_URL, self._conclusions, self._rung, ENROLLMENT_WAIT_S_MAX
        )
        self._est = ESTDoor(self.db, self.clock, self._enrollment, self.issuers, FailedAttempts(self.clock))
        self.admission = Admission(
            self._principals, self.clock, Realm(), DEFAULT, self._is_up_to_date, self._first_uses
        )
        with read(self.db) as connection:
            self._position = self._principals.position = head(connection)
        self._load()
        # What was intended before it was there.
        self.settle()

    def die(self) -> None:
        """Take note of a cut: nothing is done any more."""
        self.is_dead = True
        self._loop.stop()

    def close(self) -> None:
        """End it, in whatever state."""
        self.is_dead = True
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        with suppress(Stuck, RuntimeError, PowerCut):
            self._loop.run_nested(_gathered(tasks))
        self._loop.close()
        self._enrollment.close()
        self._principals.close()
        self.db.dispose()

    # What comes from devices.

    def exchange(self, exchange: Exchange) -> bytes:
        """Return the answer to one HTTP request. Raises `HomeDown`."""
        return self._run(answered(self._est, exchange, self.clock.now()))

    def admit(self, peer: Peer, connect: Connect) -> Admitted:
        """Decide a CONNECT. Raises `Refusal`, `HomeDown`."""

        async def decide() -> Admitted:
            known = await self.admission.principal(peer.certificate_id)
            admitted = self.admission.admit(known, peer, connect)
            await self.admission.settle(known)
            return admitted

        return self._run(decide())

    # What it does by itself.

    def settle(self) -> None:
        """Sign what was intended. Raises `HomeDown`."""
        self.work(partial(settle_all, self.db, self.clock, self._door))

    def do_duties(self, *, crls: bool) -> None:
        """Do what is done from time to time. Raises `HomeDown`."""
        crl_door = open_crl_door(self.db, self.estate.cabinet, PUBLIC_URL)
        for duty in duties(crl_door, KEEP_EXPIRED):
            if crls or duty.name != CRLS:
                self.work(partial(duty.do, self.db, self.clock))

    def work(self, do: Callable[[], _T]) -> _T:
        """Do something at this home that may be cut. Raises `HomeDown`, and what it raises."""
        self.require_alive()
        try:
            done = do()
        except PowerCut as cut:
            raise HomeDown from cut
        self._feed()
        return done

    def require_alive(self) -> None:
        """Return if it is there. Raises `HomeDown`."""
        if self.is_dead:
            raise HomeDown

    def _rung(self) -> None:
        if not self._is_idle():
            settle_all(self.db, self.clock, self._door)
            self._feed()

    async def _is_up_to_date(self) -> bool:
        self._feed()
        return True

    def _feed(self) -> None:
        """Follow the journal to its end, as gateways and authority do."""
        while entries := read_after(self.db, self._position):
            self._position = entries[-1].number
            self._conclusions.apply(entries)
            self._principals.apply(entries)
            if tells_of_issuers(entries) or tells_of_profiles(entries):
                self._load()

    def _load(self) -> None:
        self.issuers.load()
        self.grace.load()
        self._door = open_door(self.db, self.estate.cabinet, PUBLIC_URL, (Purpose.DEVICES,))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self.is_dead:
            work.close()
            raise HomeDown
        try:
            return self._loop.run_nested(work)
        except PowerCut as cut:
            raise HomeDown from cut
        except RuntimeError as error:
            if not self.is_dead:
                raise
            raise HomeDown from error


async def _gathered(tasks: "set[asyncio.Task[Any]]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
