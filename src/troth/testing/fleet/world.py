"""A fleet, its home and all that befalls them, from one seed: the same seed leads to the same ten years."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, cast

from cryptography import x509

from troth.device.events import Event
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.keys.file import read_key
from troth.protocols.mqtt import Publish
from troth.registry.trust import trust_bundle
from troth.store.read import read
from troth.testing.fleet.accounts import examine
from troth.testing.fleet.clock_server import ClockServer
from troth.testing.fleet.cuts import Cuts, watch
from troth.testing.fleet.device import DAY_S, Device, Ears, Habits, OwnClock
from troth.testing.fleet.estate import OPERATOR, Estate
from troth.testing.fleet.handshake import Shown
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.http import Exchange
from troth.testing.fleet.lifeline import Lifeline
from troth.testing.fleet.loop import LoopClock, VirtualLoop
from troth.testing.fleet.operator import Operator, Trouble
from troth.testing.fleet.seeding import seeded
from troth.testing.fleet.session import Session
from troth.testing.fleet.thefts import Thefts
from troth.testing.fleet.watcher import Broken, Promise, Watcher
from troth.testing.fleet.wire import Wire
from troth.x509.algorithms import PublicKey
from troth.x509.public_keys import render_public_key
from troth.x509.subjects import thing_of

BIRTH: Final = datetime(2026, 1, 1, tzinfo=UTC)
LOSS: Final = 0.01
PATIENCE_S: Final = 1.5 * 3600.0
"""A device that is awake so long beside a home that is there must be connected."""

Progress = Callable[[float, "World"], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it."""

    seed: int
    devices: int = 200
    years: float = 10.0
    nap_days: float = 65.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    counts: dict[str, int]
    digest: str
    """Of all that happened, in order."""


@dataclass
class World:
    """See the module. `live` once."""

    plan: Plan
    folder: Path
    tell: Progress = lambda part, world: None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = self._own("world")
        self.loop = VirtualLoop()
        self.clock = LoopClock(self.loop, BIRTH)
        self.watcher = Watcher()
        self.devices: list[Device] = []
        self._disks = self.folder / "devices"
        self._disks.mkdir()
        self.cuts = Cuts(self._disks)
        self._log = hashlib.sha256()
        self._broken: asyncio.Future[None] = self.loop.create_future()
        self._clock_server = ClockServer(self.clock)
        self._lasts_s = self.plan.years * 365 * DAY_S

    def live(self) -> Outcome:
        """Live through it all. Raises `Broken`."""
        hook = watch()
        with seeded(self.random):
            try:
                names = [f"thing-{number:03}" for number in range(1, self.plan.devices + 1)]
                self.estate = Estate(self.folder, self.clock)
                self.lifeline = Lifeline(self.estate, self.loop, self.cuts, self._own)
                self.estate.bear(names)
                hook.seen = self.cuts.seen
                self.lifeline.open()
                self.loop.run_until_complete(self._live(names))
                self.cuts.disarm_home()
                return self._end()
            finally:
                hook.seen = None
                self.lifeline.close()
                self.loop.close()

    @property
    def home(self) -> Home | None:
        """The home, while there is one."""
        return self.lifeline.home

    async def _live(self, names: list[str]) -> None:
        self.operator = Operator(
            self.estate, lambda: self.lifeline.home, self._own("operator"), self.watcher, self._lasts_s
        )
        self.trouble = Trouble(self.cuts, self._own("trouble"), self.lifeline.stop)
        self.devices = [self._made(name) for name in names]
        self.thefts = Thefts(self, self.devices, self.operator, self.watcher, self._own)
        work = [device.live(partial(self._given, device.name)) for device in self.devices]
        work += [self.operator.look_after(), self.trouble.make()]
        work += [self.thefts.steal(), self.thefts.try_keys(), self._say()]
        tasks = [asyncio.create_task(each) for each in work]
        end = asyncio.create_task(asyncio.sleep(self._lasts_s))
        try:
            done, _ = await asyncio.wait({end, self._broken, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for task in (end, *tasks):
                task.cancel()
            await asyncio.gather(end, *tasks, return_exceptions=True)

    def _made(self, name: str) -> Device:
        random = self._own(name)
        number = int(name.rpartition("-")[2])
        clock = OwnClock(self.clock)
        wire = Wire(self, name, f"10.0.{number // 250}.{number % 250}", random, clock, LOSS)
        servers = (self._clock_server.listed,) if random.random() < 0.4 else ()
        habits = Habits(self.plan.nap_days, servers, reports=random.random() < 0.25)
        ears = Ears(self._told, self._awake, self._asleep, self._let_go)
        return Device(self._disks / name, clock, wire, random, self.cuts, habits, ears)

    def _own(self, name: str) -> Random:
        return Random(f"fleet {self.plan.seed}: {name}")  # noqa: S311 - it is to be the same each time

    # What devices meet.

    def tell_time(self, question: bytes) -> bytes:
        """Answer a question for the time."""
        return self._clock_server.answer(question)

    def exchanged(self, caller: str, exchange: Exchange, answer: bytes) -> None:
        """See who was given what."""
        self.counts["requests"] += 1
        line = exchange.request.partition(b"\r\n")[0]
        if b"enroll" not in line or not answer.startswith(b"HTTP/1.1 200"):
            return
        leaf = exchange.tls.certificate
        home = self.home
        with self._watched():
            if leaf is not None:
                self.counts["renewals"] += 1
                thing = thing_of(leaf.subject)
                self.watcher.let_in(caller, thing, _digest(leaf), self.clock.now(), "renewal")
            if home is not None:
                self.watcher.overlap(home.db, self.clock.now(), caller)

    def begin(self, session: Session) -> None:
        """Look on as somebody connects."""

        def let_in() -> None:
            self.counts["connections"] += 1
            thing = session.admitted.thing if session.admitted is not None else None
            with self._watched():
                self.watcher.let_in(session.caller, thing, session.digest, self.clock.now(), "connection")

        def publish(message: Publish) -> None:
            with self._watched():
                self.watcher.arrived(session.caller, int(message.payload), self.clock.now())

        session.on_admitted, session.on_publish = let_in, publish
        self.lifeline.sessions.append(session)

    def passed(self, name: str, content: bytes) -> None:
        """Look for private keys."""
        with self._watched():
            self.watcher.passed(name, content, self.clock.now())

    def _given(self, name: str) -> tuple[x509.Certificate, str]:
        """Return the youngest root and a token, as a person who has both. Raises `HomeDown`."""
        home = self.home
        if home is None:
            raise HomeDown

        def work() -> str:
            with change(home.db, self.clock, OPERATOR) as changing:
                return create_token(changing, name, timedelta(days=30)).secret

        secret = home.work(work)
        with read(home.db) as connection:
            return trust_bundle(connection).roots[0].certificate, secret

    # What devices tell.

    def _told(self, device: Device, event: Event, fields: dict[str, object]) -> None:
        self.counts[event.value] += 1
        self._log.update(f"{self.loop.time():.3f} {device.name} {event} {fields.get('reason', '')}\n".encode())

    def _let_go(self, device: Device, credential: Shown) -> None:
        self.thefts.let_go(device, credential)

    def _awake(self, device: Device) -> None:
        self.counts["wakes"] += 1
        if device.random.random() < 0.1:
            self.cuts.arm_device(device.name, device.random.randrange(1, 40))

    def _asleep(self, device: Device) -> None:
        """Look at a device that could do as it liked."""
        self.lifeline.sessions = [each for each in self.lifeline.sessions if each.caller != device.name]
        with self._watched():
            for slot in "ab":
                file = device.path / slot / "key.pem"
                if file.exists():
                    self.watcher.holds(device.name, read_key(file, None), self.clock.now())
            had_s = self.loop.time() - max(self.lifeline.up_since_s, device.woke_at_s)
            if self.home is None or device.is_withdrawn or device.was_connected or had_s < PATIENCE_S:
                return
            raise Broken(Promise.STRANDED, self.clock.now(), f"{device.name}: " + "; ".join(device.told))

    async def _say(self) -> None:
        while True:
            self.tell(self.loop.time() / self._lasts_s, self)
            await asyncio.sleep(30 * DAY_S)

    def _watched(self) -> "_Watched":
        return _Watched(self._broken)

    def _end(self) -> Outcome:
        """Close the books. Raises `Broken`."""
        self.lifeline.open()
        home = self.home
        assert home is not None, "nothing is armed any more"
        home.do_duties(crls=True)
        self.watcher.overlap(home.db, self.clock.now())
        self.estate.signer(home.db).sign()
        self.counts["journal entries"] = examine(home.db, self.estate.signer(home.db).verifier, self.clock.now())
        self.counts["readings"] = self.watcher.readings
        self.counts["devices cut"] = self.cuts.changes
        self.counts["home died"] = sum(self.cuts.points.values())
        self.counts["restarts"] = self.trouble.restarts
        self.counts["stolen keys tried"] = self.thefts.tried
        self.counts["rollovers"], self.counts["issuers retired"] = self.operator.rollovers, self.operator.retired
        self.counts["withdrawn"] = self.operator.withdrawn
        return Outcome(dict(sorted(self.counts.items())), self._log.hexdigest())


class _Watched:
    """Carries what is broken to where the world waits for it, and does not disturb whoever has met it."""

    def __init__(self, broken: "asyncio.Future[None]") -> None:
        self._broken = broken

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Broken):
            return False
        if not self._broken.done():
            self._broken.set_exception(error)
        return True


def _digest(leaf: x509.Certificate) -> str:
    return hashlib.sha256(render_public_key(cast("PublicKey", leaf.public_key()))).hexdigest()
