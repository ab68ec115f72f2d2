"""The agent with a home of a few lines: dropped, refused, renewed, offline; nothing is lost and nothing overtakes."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fixtures.est_door import Asked, ESTDoor, Reply, est_door
from tests.unit.device.gateway import gateway
from tests.unit.device.home import Home

from troth.clock import Clock, SystemClock
from troth.device.agent import Agent
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.events import Event
from troth.device.identity import Settings, open_identity, read_settings, write_settings
from troth.device.queue import Queue
from troth.device.renew import go_back, renew, retire_previous
from troth.device.slots import Slots
from troth.errors import Fault, Kind
from troth.limits import DEVICE_QUEUE_IN_FLIGHT_MAX
from troth.protocols import problem
from troth.protocols.est import CERTIFICATES_TYPE, parse_body, render_certificates
from troth.x509.certificates import certificate_id
from troth.x509.requests import parse_request

pytestmark = pytest.mark.slow

PATIENCE_S = 20.0
CLOCK = SystemClock()


@dataclass
class Heard:
    """A `Tell` that remembers, and can be waited for."""

    events: list[tuple[Event, dict[str, object]]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: Event, **fields: object) -> None:
        self.events.append((event, fields))
        self.more.set()

    def all(self, event: Event) -> list[dict[str, object]]:
        return [fields for each, fields in self.events if each is event]

    async def until(self, event: Event, times: int = 1) -> dict[str, object]:
        while len(self.all(event)) < times:
            self.more.clear()
            await self.more.wait()
        return self.all(event)[times - 1]


class Door:
    """What the home's HTTPS door answers; a test says what is otherwise."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.is_due = False
        self.fault: Fault | None = None
        self.requests: list[bytes] = []

    def __call__(self, asked: Asked) -> Reply:
        if self.fault is not None:
            shown = problem.render(self.fault)
            return Reply(shown.status, shown.body, shown.headers)
        operation = asked.path.rpartition("/")[2]
        if operation == "cacerts":
            return _certificates(*self.home.issuers)
        if operation == "renewal-info":
            start = datetime.now(UTC) + timedelta(days=-1 if self.is_due else 30)
            window = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
            return Reply(200, json.dumps({"suggestedWindow": window}).encode(), {"Retry-After": "3600"})
        assert operation == "simplereenroll"
        self.requests.append(asked.body)
        self.is_due = False
        return _certificates(self.home.issue(parse_request(parse_body(asked.body)).public_key))


def _certificates(*certificates: object) -> Reply:
    return Reply(200, render_certificates(certificates), {"Content-Type": CERTIFICATES_TYPE})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it come again in a fifth of the time."""
    monkeypatch.setattr("troth.device.schedule.DEVICE_BACK_OFF_S_MIN", 0.2)


@pytest.fixture
def says(home: Home) -> Door:
    return Door(home)


@pytest.fixture
def door(home: Home, says: Door) -> Iterator[ESTDoor]:
    with est_door(home.server.chain_file, home.server.key_file, says) as door:
        yield door


@pytest.fixture
def path(home: Home, door: ESTDoor, tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    enroll_by(path, home.wanted(est=Address("localhost", door.port)), home.answer, CLOCK)
    return path


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await scene()

    asyncio.run(bounded())


async def eventually(look: Callable[[], bool]) -> None:
    while not look():  # noqa: ASYNC110 - it is on the disk, where nobody waits
        await asyncio.sleep(0.01)


def settle_at(path: Path, port: int) -> None:
    """Let the device find its home's gateway at this port."""
    settings = read_settings(path)
    endpoint = settings.endpoint
    write_settings(path, Settings(settings.thing, type(endpoint)(endpoint.est, Address("localhost", port))))


@asynccontextmanager
async def running(path: Path, clock: Clock = CLOCK, **options: object) -> AsyncIterator[Heard]:
    heard = Heard()
    # Waits are halved at most, never doubled, by a draw of 0.
    agent = Agent(path, clock, heard, draw=lambda: 0.0, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(agent.run())
    try:
        yield heard
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Fault):
            await task


def own(path: Path) -> str:
    return certificate_id(open_identity(path).certificate)


def test_what_is_queued_before_and_while_it_runs_is_sent_in_order(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            with Queue(path) as queue:
                for number in range(40):
                    queue.add("lab/a", str(number).encode())
                async with running(path):
                    await there.until(b"39")
                    queue.add("lab/a", b"40")
                    await there.until(b"40")
                    await eventually(lambda: not queue.depth().waiting)
            assert there.came == [str(number).encode() for number in range(41)]

    play(scene)


def test_what_was_not_acknowledged_is_sent_again_in_order(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            there.answers = False
            settle_at(path, there.port)
            with Queue(path) as queue:
                for number in range(20):
                    queue.add("lab/a", str(number).encode())
                async with running(path) as heard:
                    await there.until(b"15")
                    assert queue.depth().waiting == 20
                    there.answers = True
                    there.hang_up()
                    await heard.until(Event.DISCONNECTED)
                    await eventually(lambda: not queue.depth().waiting)
            assert there.ignored == [str(number).encode() for number in range(DEVICE_QUEUE_IN_FLIGHT_MAX)]
            assert there.came == [str(number).encode() for number in range(20)]

    play(scene)


def test_a_reading_that_the_home_does_not_take_holds_up_no_other(
    home: Home, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("troth.device.connector.DEVICE_RECONNECT_S_MAX", 0.01)

    async def scene() -> None:
        async with gateway(home) as there:
            there.hangs_up_on = {"another/a"}
            settle_at(path, there.port)
            with Queue(path) as queue:
                for number in range(10):
                    queue.add("another/a" if number == 3 else "lab/a", str(number).encode())
                async with running(path) as heard:
                    told = await heard.until(Event.SET_ASIDE)
                    assert (told["sequence"], told["topic"]) == (4, "another/a")
                    await there.until(b"9")
                    await eventually(lambda: not queue.depth().waiting)
                assert queue.depth().set_aside == 1
            # Nothing is lost, and each came first in its turn.
            firsts = sorted(set(there.came), key=there.came.index)
            assert firsts == [str(number).encode() for number in range(10) if number != 3]
            # It was alone when the home hung up on it, time after time.
            assert len(there.connected) >= 6

    play(scene)


def test_a_home_that_is_away_is_come_to_again_and_the_queue_waits(home: Home, path: Path, unused_port: int) -> None:
    async def scene() -> None:
        settle_at(path, unused_port)
        with Queue(path) as queue:
            queue.add("lab/a", b"0")
            async with running(path) as heard:
                told = [await heard.until(Event.NOT_CONNECTED, times) for times in (1, 2)]
                assert [each["again_in_s"] for each in told] == [0.1, 0.2]
                assert queue.depth().waiting == 1
                async with gateway(home) as there:
                    settle_at(path, there.port)
                    await there.until(b"0")

    play(scene)


def test_it_renews_when_the_home_says_so_and_goes_over_to_the_new_credential(
    home: Home, path: Path, says: Door
) -> None:
    async def scene() -> None:
        before, says.is_due = own(path), True
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path) as heard:
                told = await heard.until(Event.RENEWED)
                await heard.until(Event.PREVIOUS_REMOVED)
                with Queue(path) as queue:
                    queue.add("lab/a", b"0")
                    await there.until(b"0")
                await eventually(lambda: there.open == 1)
            after = own(path)
            assert after == told["certificate_id"] != before
            assert there.connected[-1] == after
            # The new connection is made before the old one ends.
            assert there.connected == [after] or there.open_max == 2
            assert Slots(path).previous() is None
            assert not (path / Slots(path).spare().name / "key.pem").exists()

    play(scene)


def test_a_home_that_refuses_to_renew_is_asked_again_by_the_same_request(
    home: Home, path: Path, says: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        says.is_due = True
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path) as heard:
                await heard.until(Event.HOME_ASKED)
                await heard.until(Event.PREVIOUS_REMOVED)
            assert len(says.requests) == 1
            says.fault = Fault(Kind.UNAVAILABLE, "the authority is away")
            with pytest.raises(Fault):
                renew(path, CLOCK)
            request = (path / Slots(path).spare().name / "request.csr").read_bytes()
            async with running(path) as heard:
                told = [await heard.until(Event.NOT_RENEWED, times) for times in (1, 2)]
                assert told[0]["kind"] == "unavailable"
                assert (path / Slots(path).spare().name / "request.csr").read_bytes() == request
                says.fault = None
                assert (await heard.until(Event.RENEWED))["resumed"] is True
            assert len(says.requests) == 2

    play(scene)


def test_what_another_process_has_renewed_is_gone_over_to(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path) as heard:
                await heard.until(Event.CONNECTED)
                done = await asyncio.to_thread(renew, path, CLOCK)
                there.hang_up()
                told = await heard.until(Event.CONNECTED, 2)
                assert told["certificate_id"] == certificate_id(done.identity.certificate)

    play(scene)


def test_a_new_credential_that_the_home_does_not_take_gives_way_to_the_one_before(home: Home, path: Path) -> None:
    async def scene() -> None:
        before = own(path)
        renew(path, CLOCK)
        async with gateway(home) as there:
            there.refused = {own(path)}
            settle_at(path, there.port)
            async with running(path) as heard:
                await heard.until(Event.WENT_BACK)
                await heard.until(Event.CONNECTED)
                await eventually(lambda: own(path) == before)
            assert there.connected == [before]

    play(scene)


def test_a_home_that_takes_neither_credential_changes_nothing(home: Home, path: Path) -> None:
    async def scene() -> None:
        before = own(path)
        renew(path, CLOCK)
        after = own(path)
        async with gateway(home) as there:
            there.refused = {before, after}
            settle_at(path, there.port)
            async with running(path) as heard:
                told = await heard.until(Event.NOT_CONNECTED, 2)
                assert told["kind"] == "forbidden"
            assert own(path) == after
            assert Slots(path).previous() is not None

    play(scene)


class NoTime:
    """A clock that nobody has set, until somebody does."""

    is_set = False

    def now(self) -> datetime:
        if not self.is_set:
            raise Fault(Kind.UNAVAILABLE, "no time server answers")
        return CLOCK.now()


def test_without_the_time_nothing_is_renewed(home: Home, path: Path, says: Door) -> None:
    async def scene() -> None:
        says.is_due = True
        clock = NoTime()
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path, clock) as heard:
                await heard.until(Event.TIME_UNKNOWN, 2)
                judged = {Event.RENEWED, Event.NOT_RENEWED, Event.HOME_ASKED, Event.HOME_NOT_ASKED}
                assert not judged & {event for event, _ in heard.events}
                clock.is_set = True
                await heard.until(Event.RENEWED)

    play(scene)


def test_a_damaged_queue_ends_the_sending_alone(home: Home, path: Path) -> None:
    (path / "queue").mkdir()
    (path / "queue" / "readings.db").write_bytes(b"no database" * 1000)

    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path) as heard:
                await heard.until(Event.QUEUE_BROKEN)
                await heard.until(Event.CONNECTED)
                # Whoever mends it need tell nobody.
                (path / "queue" / "readings.db").unlink()
                with Queue(path) as queue:
                    queue.add("lab/a", b"0")
                await there.until(b"0")

    play(scene)


def test_a_queue_that_breaks_while_it_is_sent_is_looked_at_again(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            with Queue(path) as queue:
                async with running(path) as heard:
                    queue.add("lab/a", b"0")
                    await there.until(b"0")
                    with sqlite3.connect(path / "queue" / "readings.db") as db:
                        db.execute("ALTER TABLE readings RENAME TO elsewhere")
                    queue.bell.write_bytes(b"!")
                    await heard.until(Event.QUEUE_BROKEN)
                    assert len(heard.all(Event.CONNECTED)) == 1
                    db.execute("DROP TABLE IF EXISTS readings")
                    db.execute("ALTER TABLE elsewhere RENAME TO readings")
                    db.close()
                    queue.add("lab/a", b"1")
                    await there.until(b"1")

    play(scene)


def test_what_an_earlier_process_may_have_sent_says_so(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            with Queue(path) as queue:
                for number in range(20):
                    queue.add("lab/a", str(number).encode())
                async with running(path):
                    await there.until(b"19")
                    queue.add("lab/a", b"20")
                    await there.until(b"20")
        # What it has already is taken for no replay.
        assert there.again == [str(number).encode() for number in range(20)]

    play(scene)


def test_there_is_one_agent_for_an_identity(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            async with running(path) as heard:
                await heard.until(Event.CONNECTED)
                with Queue(path) as queue:
                    queue.add("lab/a", b"0")
                    await there.until(b"0")
                with pytest.raises(Fault, match="another agent runs") as caught:
                    await Agent(path, CLOCK, Heard()).run()
                assert caught.value.kind is Kind.CONFLICT

    play(scene)


def test_messages_come_and_the_end_is_in_order(home: Home, path: Path) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            settle_at(path, there.port)
            agent = Agent(path, CLOCK, Heard(), filters=["lab/a", "lab/b"])
            task = asyncio.create_task(agent.run())
            assert [(await agent.connector.receive()).topic for _ in range(2)] == ["lab/a", "lab/b"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert there.open == 0

    play(scene)


def test_without_an_identity_there_is_no_agent(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="holds no identity"):
        Agent(tmp_path, CLOCK, Heard())


def test_a_credential_that_is_not_in_use_any_more_proves_nothing_about_the_one_that_is(path: Path) -> None:
    proven = open_identity(path).slot
    renew(path, CLOCK)
    assert not retire_previous(path, proven)
    assert Slots(path).previous() == proven
    assert retire_previous(path, open_identity(path).slot)
    assert Slots(path).previous() is None
    with pytest.raises(Fault, match="does not keep"):
        go_back(path, proven, open_identity(path).certificate)
