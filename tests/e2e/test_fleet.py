"""A fleet stays right while everything goes wrong: revocations, policy changes, brokers and workers killed.

Whoever is withdrawn is out and stays out, whoever is not comes back by itself and hears what is said to it.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bench.fleet import Member, Office, certify, join_all, raise_open_files
from tests.fixtures.estate import ACTOR, ME, Estate
from tests.fixtures.mqtt import allow, policy
from tests.fixtures.platform import Platform, is_alive

from troth.app.cabinet import FileCabinet
from troth.authority.door import Door
from troth.authority.hierarchy import open_keys
from troth.journal.change import Change, change
from troth.registry.attachments import detach_principal
from troth.registry.policies import attach_policy, create_policy, detach_policy
from troth.registry.states import deactivate, revoke
from troth.store.read import read
from troth.x509.crl import Reason

pytestmark = pytest.mark.e2e

FLEET = (
    allow("iot:Connect", f"client/{ME}"),
    allow("iot:Subscribe", f"topicfilter/fleet/{ME}/in"),
    allow("iot:Receive", f"topic/fleet/{ME}/in"),
)
SPEAKER = (allow("iot:*", "*"),)
REFUSED = 5
KIB_PER_SESSION_MAX = 150
"""Resident memory of both workers, storms and all; the figure for idle ones is the benchmark's."""


@dataclass
class Crowd:
    """The fleet, of which everybody comes back who is lost, whether it is let in or not."""

    port: int
    members: list[Member]
    withdrawn: set[Member] = field(default_factory=set)
    """For good: who of them is let in again is a breach."""
    breaches: list[str] = field(default_factory=list)
    losses: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    # NATS gives up on a CONNECT that waits for more than five seconds behind others.
    _gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    _is_leaving: bool = False

    def watch(self) -> None:
        for member in self.members:
            member.on_lost = self._lost

    def _lost(self, member: Member) -> None:
        self.losses += 1
        if not self._is_leaving:
            task = asyncio.create_task(self._come_back(member))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _come_back(self, member: Member) -> None:
        while not self._is_leaving:
            was_withdrawn = member in self.withdrawn
            async with self._gate:
                code = await member.join(self.port)
            if code == 0:
                if was_withdrawn:
                    self.breaches.append(member.identity.name)
                return
            if code == REFUSED and was_withdrawn:
                return
            await asyncio.sleep(0.3)

    async def until_settled(self, within_s: float) -> None:
        """Wait until everybody is in who may be, and nobody else."""
        async with asyncio.timeout(within_s):
            while self._tasks or any(each.is_live == (each in self.withdrawn) for each in self.members):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        self._is_leaving = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in self.members:
            member.leave()


@dataclass
class Scene:
    """The platform, its estate and who is there."""

    platform: Platform
    estate: Estate
    crowd: Crowd
    speaker: Member
    faults: tuple[str, ...]
    """Who is killed in each round, if anybody."""
    settled_s: float

    def change(self, what: Callable[[Change], None]) -> None:
        with change(self.estate.db, self.estate.clock, ACTOR) as step:
            what(step)

    async def withdraw(self, how: Callable[[Change], None], members: list[Member]) -> None:
        """Have a change made, and expect all of them gone for good."""
        await asyncio.to_thread(self.change, how)
        self.crowd.withdrawn.update(members)
        async with asyncio.timeout(self.settled_s):
            while any(member.is_live for member in members):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def say_to_all(self, word: str) -> None:
        """Have everybody who is in told something, again where it was not acknowledged or heard by nobody.

        Nobody who was withdrawn hears it.
        """
        payload = word.encode()
        async with asyncio.timeout(self.settled_s):
            while deaf := [each for each in self.living() if payload not in each.received[-3:]]:
                for at in range(0, len(deaf), 50):
                    with suppress(ConnectionError):
                        await self._say(deaf[at : at + 50], payload)
                await asyncio.sleep(0.3)
        assert not any(payload in member.received for member in self.crowd.withdrawn)

    async def _say(self, to: list[Member], payload: bytes) -> None:
        if not self.speaker.is_live and await self.speaker.join(self.crowd.port) != 0:
            return
        await asyncio.gather(*(self.speaker.publish(each.topic, payload, at) for at, each in enumerate(to, 1)))

    def living(self) -> list[Member]:
        return [member for member in self.crowd.members if member not in self.crowd.withdrawn]

    async def kill(self, name: str) -> None:
        pid = (await asyncio.to_thread(self.platform.processes))[name]["pid"]
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while is_alive(pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def gateways_kib(self) -> float:
        found = await asyncio.to_thread(self.platform.processes)
        return sum(_resident_kib(each["pid"]) for name, each in found.items() if name.startswith("gateway"))


def _resident_kib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


@pytest.fixture
def platform(born: Path, tmp_path: Path) -> Iterator[Platform]:
    """A platform of two workers that has not been started."""
    raise_open_files()
    made = Platform(Path(shutil.copytree(born, tmp_path / "fleet")), {"TROTH_PROCESSES__GATEWAY": "2"})
    yield made
    if made.process is not None:
        made.kill()


@pytest.mark.parametrize(
    ("size", "faults", "settled_s"),
    [
        pytest.param(200, ("broker", "gateway-0"), 60, marks=[pytest.mark.slow, pytest.mark.timeout(180)]),
        pytest.param(5000, ("broker", "gateway-0", "", "gateway-1", "broker"), 400, marks=pytest.mark.soak),
    ],
    ids=["a few", "thousands"],
)
def test_a_fleet_lives_through_all_of_it(
    platform: Platform, tmp_path: Path, size: int, faults: tuple[str, ...], settled_s: float
) -> None:
    with Estate(platform, tmp_path) as estate:
        with change(estate.db, estate.clock, ACTOR) as step:
            create_policy(step, "fleet", policy(*FLEET))
            create_policy(step, "more", policy(allow("iot:Publish", "topic/nowhere")))
            create_policy(step, "speaker", policy(*SPEAKER))
        with read(estate.db) as connection:
            door = Door(open_keys(connection, FileCabinet(platform.home, None)), "http://localhost:8080")
        office = Office(estate.db, estate.clock, door, "http://localhost:8080", estate.root_file.read_bytes())
        identities = certify(office, tmp_path, [f"fleet-{number}" for number in range(size)], "fleet")
        (voice,) = certify(office, tmp_path, ["voice"], "speaker")
        platform.start()
        members = [Member(identity, "localhost", number) for number, identity in enumerate(identities)]
        crowd = Crowd(platform.address("mqtt")[1], members)
        speaker = Member(voice, "localhost", size)
        asyncio.run(_story(Scene(platform, estate, crowd, speaker, faults, settled_s)))
        assert not platform.events("control.failed")
        assert not platform.events("session.failed")
        assert platform.stop() == 0


async def _story(scene: Scene) -> None:
    crowd = scene.crowd
    crowd.watch()
    empty_kib = await scene.gateways_kib()
    assert await join_all(crowd.members, crowd.port) == [0] * len(crowd.members)
    await scene.say_to_all("all are here")
    try:
        for number, fault in enumerate(scene.faults):
            before = crowd.losses
            storm = asyncio.create_task(scene.kill(fault)) if fault else None
            # While they come back, some of them are told that they may not.
            withdrawn = await _withdraw_some(scene)
            if storm is not None:
                await storm
                async with asyncio.timeout(scene.settled_s):
                    # One of the two workers may have had a few of them only.
                    while crowd.losses <= before + withdrawn:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
            await crowd.until_settled(scene.settled_s)
            await scene.say_to_all(f"after {number}")
            assert not crowd.breaches
        used_kib = await scene.gateways_kib() - empty_kib
        assert len(crowd.members) < 1000 or used_kib / len(crowd.members) < KIB_PER_SESSION_MAX, f"{used_kib:.0f} KiB"
    finally:
        await crowd.leave()
        scene.speaker.leave()


async def _withdraw_some(scene: Scene) -> int:
    """Withdraw in each of the ways there are, and change what touches nobody's right to be there. Return from whom."""
    living = scene.living()
    revoked, inactive, detached, denied, changed = (living[at::5][:2] for at in range(5))

    def withdraw(step: Change) -> None:
        for member in revoked:
            revoke(step, member.identity.certificate_id, Reason.KEY_COMPROMISE)
        for member in inactive:
            deactivate(step, member.identity.certificate_id)
        for member in detached:
            # Whose policies were its thing's has none left.
            detach_principal(step, member.identity.name, member.identity.certificate_id)
        for member in denied:
            detach_policy(step, "fleet", thing=member.identity.name)
        for member in changed:
            attach_policy(step, "more", thing=member.identity.name)

    gone = revoked + inactive + detached + denied
    await scene.withdraw(withdraw, gone)
    return len(gone)
