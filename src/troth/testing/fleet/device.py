"""One device for ten years: the real agent on a disk of its own, mostly asleep, now and then cut off in mid-sentence.

An agent that runs through would look at its clock half a million times. This one wakes up now and then, does what it
has to do, and goes back to sleep; what it must not forget is on its disk.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.device.agent import Agent
from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import Wanted, enroll
from troth.device.events import Event
from troth.device.identity import open_identity, read_chain
from troth.device.queue import Queue
from troth.device.slots import NAMES, Slot, Slots
from troth.errors import Fault
from troth.protocols.roughtime.servers import TimeServer
from troth.testing.fleet.cuts import Cuts, PowerCut
from troth.testing.fleet.estate import GRACE, NAME
from troth.testing.fleet.handshake import Shown, shown_by
from troth.testing.fleet.home import HomeDown
from troth.testing.fleet.wire import Wire
from troth.x509.certificates import certificate_id

DAY_S: Final = 86_400.0
AWAKE_S_MAX: Final = 2 * 3600.0
"""How long a device stays awake that does not get done."""
QUIET_S: Final = 5.0
"""How long nothing must have happened before it goes back to sleep."""
HASTE: Final = 0.1
"""How likely it is that somebody pulls the plug right when it has connected, or when it is done."""
ASTRAY: Final = 0.04
"""How likely it is that a clock has gone wrong."""
LONG: Final = 0.02
"""How likely it is that a device sleeps for months."""
MARGIN: Final = timedelta(days=20)
TOLD_MAX: Final = 12
NTP_S: Final = 600.0
"""How long a clock stays wrong that is set by NTP."""
RETRY_S: Final = 6 * 3600.0
_ENDPOINT: Final = Endpoint(Address(NAME, 8443), Address(NAME, 8883))
_YEAR: Final = timedelta(days=365)


class OwnClock:
    """A device's own clock: the time of the story, and how far it is off. A `troth.clock.Clock`."""

    def __init__(self, true: Clock) -> None:
        self._true = true
        self.off = timedelta(0)

    def now(self) -> datetime:
        """Return what it shows."""
        return self._true.now() + self.off

    def true_now(self) -> datetime:
        """Return the time of the story."""
        return self._true.now()

    def set_right(self) -> None:
        """Show the true time."""
        self.off = timedelta(0)


@dataclass
class Habits:
    """How a device lives."""

    nap_days: float
    """How long it sleeps, in the middle."""
    time_servers: tuple[TimeServer, ...]
    """Whom it asks for the time; nobody: it goes by its own clock, which is then never wrong for long."""
    reports: bool
    """Whether it has readings to send."""


@dataclass
class Ears:
    """Who hears of what becomes of a device."""

    tell: Callable[["Device", Event, dict[str, object]], None]
    awake: Callable[["Device"], None]
    asleep: Callable[["Device"], None]
    """At the end of each time that it was awake and not cut."""
    let_go: Callable[["Device", Shown], None]
    """It does not use this credential any more."""


class Device:
    """A device in its world."""

    def __init__(
        self, path: Path, clock: OwnClock, wire: Wire, random: Random, cuts: Cuts, habits: Habits, ears: Ears
    ) -> None:
        self.path, self.name, self.clock, self.wire = path, path.name, clock, wire
        self.random, self.habits = random, habits
        self.is_enrolled = self.is_connected = self.is_awake = self.is_withdrawn = False
        self.was_connected = False
        """Whether it was when it had done what it had to do."""
        self.told: deque[str] = deque(maxlen=TOLD_MAX)
        """What it has told last."""
        self.woke_at_s = 0.0
        self._cuts, self._ears = cuts, ears
        self._stirred = asyncio.Event()
        self._asked = False
        self._connected_with = ""
        self._kept: Shown | None = None

    async def live(self, given: Callable[[], tuple[x509.Certificate, str]]) -> None:
        """Enroll with the root and the token that it is given; sleep and wake, for ever."""
        await asyncio.sleep(self.random.random() * 30 * DAY_S)
        while True:
            if self.is_enrolled and not self.is_withdrawn:
                await self.wake()
            elif not self.is_withdrawn:
                with suppress(HomeDown):
                    await self._enroll(given)
            await asyncio.sleep(self._nap_s())

    async def _enroll(self, given: Callable[[], tuple[x509.Certificate, str]]) -> None:
        """Get a first identity, however often that takes."""
        root, token = given()
        while not self.is_enrolled:
            wanted = Wanted(self.name, _ENDPOINT, (root,), time_servers=self.habits.time_servers)
            try:
                enroll(self.path, wanted, token, self.clock, self.wire)
                self.is_enrolled = True
            except Fault as fault:
                self._remember(f"not enrolled: {fault.message}")
                await asyncio.sleep(RETRY_S * self.random.random())
            except PowerCut:
                self._cuts.restore(self.name)
        await self.wake()

    async def wake(self) -> None:
        """Run the agent until all is done, or for so long; then end it, in order or not."""
        self._begin()
        try:
            if self.habits.reports:
                self._read_sensor()
            agent = Agent(self.path, self.clock, self._tell, draw=self.random.random, network=self.wire)
            running = asyncio.create_task(agent.run())
            try:
                await self._until_done(running)
                self.was_connected = self.is_connected or not self.wire.is_up
                if self.random.random() < HASTE:
                    self._unplug()
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
        except PowerCut:
            pass
        was_cut = self._cuts.restore(self.name)
        self.is_awake = False
        self.wire.is_up = True
        if not was_cut:
            self._ears.asleep(self)

    def credentials(self) -> list[Shown]:
        """Return what is on its disk, whole."""
        slots = [Slot(self.path / name) for name in NAMES]
        return [shown_by(slot) for slot in slots if slot.key_file.exists() and slot.chain_file.exists()]

    def reset(self) -> None:
        """Go back to how it left the factory."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.is_enrolled = False
        self._kept = None

    def _set_clock(self) -> None:
        """Let its clock go astray: for good where nobody believes it, else until NTP has set it right."""
        if self.random.random() > ASTRAY:
            return
        self.clock.off = self.random.choice((-56.0, -20.0, -1.0, 0.5, 30.0, 100.0)) * _YEAR
        if not self.habits.time_servers:
            asyncio.get_running_loop().call_later(NTP_S, self.clock.set_right)

    @property
    def is_done(self) -> bool:
        """Whether it has asked the home, is connected by what it holds now, and has nothing left to do."""
        if not (self._asked and self.is_connected):
            return False
        if Slots(self.path).spare().request_file.exists():
            return False
        current = Slots(self.path).current()
        return current is not None and certificate_id(read_chain(current.chain_file)[0]) == self._connected_with

    def _unplug(self) -> None:
        """Cut it off as it stands, but between two changes to its disk."""
        if self.is_awake:
            self.wire.is_up = False
            self._stirred.set()

    def _begin(self) -> None:
        self.is_awake, self.is_connected, self._asked, self._connected_with = True, False, False, ""
        self.woke_at_s = asyncio.get_running_loop().time()
        self._set_clock()
        self._ears.awake(self)

    def _read_sensor(self) -> None:
        with Queue(self.path) as queue:
            queue.add(f"{self.name}/level", str(queue.depth().last + 1).encode())

    async def _until_done(self, running: "asyncio.Task[None]") -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + AWAKE_S_MAX
        while loop.time() < end and not running.done():
            self._stirred.clear()
            wait_s = QUIET_S if self.is_done else end - loop.time()
            stirring = asyncio.create_task(self._stirred.wait())
            done, _ = await asyncio.wait({stirring, running}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            stirring.cancel()
            if not self.wire.is_up or (not done and self.is_done):
                return
        if running.done():
            running.result()

    def _tell(self, event: Event, **fields: object) -> None:
        self._remember(f"{event} {fields.get('reason', '')}")
        match event:
            case Event.CONNECTED:
                self.is_connected = True
                self._connected_with = str(fields["certificate_id"])
                self._note_previous()
                if self.random.random() < HASTE:
                    asyncio.get_running_loop().call_later(self.random.random(), self._unplug)
            case Event.NOT_CONNECTED | Event.DISCONNECTED:
                self.is_connected = False
            case Event.HOME_ASKED:
                self._asked = True
            case Event.PREVIOUS_REMOVED if self._kept is not None:
                self._ears.let_go(self, self._kept)
                self._kept = None
        self._ears.tell(self, event, dict(fields))
        self._stirred.set()

    def _remember(self, what: str) -> None:
        now = self.clock.true_now()
        self.told.append(f"{now:%Y-%m-%d %H:%M} {what}")

    def _note_previous(self) -> None:
        """Remember what is about to be removed."""
        previous = Slots(self.path).previous()
        if previous is not None:
            self._kept = shown_by(previous)

    def _nap_s(self) -> float:
        """Mostly some weeks; sometimes half a year, but never to the end of the certificate's grace: nobody promises
        that a device comes back from there.
        """
        nap_days = self.random.uniform(0.2, 1.8) * self.habits.nap_days
        if self.random.random() < LONG:
            nap_days = self.random.uniform(60.0, GRACE.days + 30.0)
        if not self.is_enrolled or self.is_withdrawn:
            return nap_days * DAY_S
        end = open_identity(self.path).certificate.not_valid_after_utc + GRACE - MARGIN
        return min(nap_days * DAY_S, max((end - self.clock.true_now()).total_seconds(), DAY_S))
