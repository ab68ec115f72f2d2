"""A device for programs, on an event loop and without one."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fixtures.est_door import ESTDoor, est_door
from tests.fixtures.mosquitto import Mosquitto, mosquitto
from tests.unit.device.gateway import gateway
from tests.unit.device.home import THING, Home
from tests.unit.device.test_agent import Door, Heard, NoTime, play, settle_at

from troth.clock import SystemClock
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.events import Event
from troth.device.library import AsyncDevice, Device
from troth.device.queue import Reading
from troth.errors import Fault, Kind, OurFault
from troth.testing.clock import NOON, FakeClock
from troth.x509.certificates import certificate_id

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def broker(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    own, folder = home.server, tmp_path_factory.mktemp("mosquitto")
    acl = folder / "acl"
    acl.write_text(f"user {THING}\ntopic readwrite lab/#\n")
    settings = f"use_identity_as_username true\nacl_file {acl}"
    with mosquitto(folder, anchors=home.root_file, chain=own.chain_file, key=own.key_file, settings=settings) as server:
        yield server


@pytest.fixture(scope="module")
def door(home: Home) -> Iterator[ESTDoor]:
    with est_door(home.server.chain_file, home.server.key_file, Door(home)) as door:
        yield door


@pytest.fixture
def path(home: Home, broker: Mosquitto, door: ESTDoor, tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    wanted = home.wanted(est=Address("localhost", door.port), mqtt=Address("localhost", broker.port))
    enroll_by(path, wanted, home.answer, SystemClock())
    return path


def test_a_program_without_a_loop(path: Path) -> None:
    with Device.open(path) as device:
        assert device.identity.thing == THING
        device.subscribe("lab/#")
        device.publish("lab/a", b"now")
        assert device.queue("lab/a", b"later").sequence == 1
        device.publish("lab/a", b"quick", qos=0)
        came = [message.payload for _, message in zip(range(3), device.messages(), strict=False)]
        assert sorted(came) == [b"later", b"now", b"quick"]
        assert device.receive(timeout_s=0.01) is None


def test_threads_may_share_it(path: Path) -> None:
    with Device.open(path) as device:
        device.subscribe("lab/#")
        work = [threading.Thread(target=device.publish, args=("lab/a", str(each).encode())) for each in range(8)]
        for thread in work:
            thread.start()
        came = {message.payload for message in (device.receive(PATIENCE_S) for _ in range(8)) if message}
        for thread in work:
            thread.join()
        with ThreadPoolExecutor(8) as threads:
            queued = list(threads.map(lambda each: device.queue("elsewhere", str(each).encode()), range(40)))
    assert came == {str(each).encode() for each in range(8)}
    assert sorted(reading.sequence for reading in queued) == list(range(1, 41))


def test_a_program_on_a_loop_renews_while_messages_come(path: Path) -> None:
    heard = Heard()

    async def scene() -> None:
        async with AsyncDevice.open(path, tell=heard) as device:
            before = certificate_id(device.identity.certificate)
            await device.subscribe("lab/#")
            sent = [str(number).encode() for number in range(60)]

            async def send() -> None:
                for payload in sent:
                    await device.queue("lab/a", payload)

            sending = asyncio.create_task(send())
            renewed = await device.renew()
            await heard.until(Event.CONNECTED, 2)
            came: list[bytes] = []
            while len(set(came)) < len(sent):
                message = await device.receive()
                assert message is not None
                came.append(message.payload)
            await sending
            assert sorted(set(came), key=came.index) == sent
            assert certificate_id(renewed.certificate) == certificate_id(device.identity.certificate) != before

    play(scene)


def test_a_message_that_came_as_its_taker_went_is_for_the_next(path: Path) -> None:
    async def scene() -> None:
        async with AsyncDevice.open(path) as device:
            await device.subscribe("lab/#")
            for number in range(20):
                taking = asyncio.create_task(device.receive())
                await device.publish("lab/a", str(number).encode())
                taking.cancel()
                (found,) = await asyncio.gather(taking, return_exceptions=True)
                message = await device.receive() if isinstance(found, BaseException) else found
                assert message is not None
                assert message.payload == str(number).encode()

    play(scene)


def test_what_was_done_as_its_asker_went_is_undone(path: Path) -> None:
    """The instant between the two, which the test above meets by chance alone."""

    async def scene() -> None:
        gate, taken, undone = asyncio.Event(), list[str](), list[str]()

        async def take() -> str:
            await gate.wait()
            taken.append("message")
            return "message"

        async with AsyncDevice.open(path) as device:
            asking = asyncio.create_task(device._while_running(take(), undone.append))
            await asyncio.sleep(0)
            gate.set()
            while not taken:  # noqa: ASYNC110 - one turn of the loop at a time
                await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert undone == taken

    play(scene)


def test_a_refused_subscription_is_told_and_the_others_stand(path: Path, home: Home) -> None:
    async def scene() -> None:
        async with gateway(home) as there:
            there.refused_filters = {"another/a"}
            settle_at(path, there.port)
            async with AsyncDevice.open(path) as device:
                with pytest.raises(Fault, match=r"subscribe to another/a$") as caught:
                    await device.subscribe("lab/a", "another/a")
                assert caught.value.kind is Kind.FORBIDDEN
                assert (await device.receive(PATIENCE_S)) is not None

    play(scene)


def test_what_the_home_has_kept_comes_first_and_what_nobody_wants_any_more_is_dropped(path: Path) -> None:
    with Device.open(path, filters=["lab/kept", "lab/once"]) as device:
        device.publish("lab/kept", b"0")
        assert device.receive(PATIENCE_S) is not None
    with Device.open(path, client_id="other") as other:
        for topic in ("lab/once", "lab/kept"):
            other.publish(topic, b"1")
    with Device.open(path, filters=["lab/kept"]) as device:
        message = device.receive(PATIENCE_S)
        assert message is not None
        assert (message.topic, message.payload) == ("lab/kept", b"1")
        assert device.receive(timeout_s=0.05) is None


def test_a_home_that_is_away_is_no_reason_to_wait_for_ever(path: Path, unused_port: int) -> None:
    settle_at(path, unused_port)
    with Device.open(path) as device:
        with pytest.raises(Fault, match=r"not reached within 0\.05 s") as caught:
            device.publish("lab/a", b"", timeout_s=0.05)
        assert caught.value.kind is Kind.UNAVAILABLE
        assert device.receive(timeout_s=0.05) is None


def test_a_seal_is_given_number_and_time(path: Path, unused_port: int) -> None:
    settle_at(path, unused_port)
    seen: list[Reading] = []

    def seal(reading: Reading) -> bytes:
        seen.append(reading)
        return b"sealed " + reading.payload

    with Device.open(path, clock=FakeClock(NOON)) as device:
        assert device.queue("lab/a", b"21", seal=seal).payload == b"sealed 21"
    assert seen == [Reading(1, "lab/a", b"21", NOON)]


def test_without_the_time_a_reading_is_queued_all_the_same(path: Path, unused_port: int) -> None:
    settle_at(path, unused_port)
    with Device.open(path, clock=NoTime()) as device:
        assert device.queue("lab/a", b"21") == Reading(1, "lab/a", b"21", None)


def test_one_who_is_not_open_says_so(path: Path) -> None:
    with pytest.raises(OurFault, match="not open"):
        Device.open(path).publish("lab/a", b"")

    async def scene() -> None:
        device = AsyncDevice.open(path)
        for doing in (device.publish("lab/a", b""), device.queue("lab/a", b"")):
            with pytest.raises(OurFault, match="not open"):
                await doing
        async with device:
            await device.queue("lab/a", b"")
        with pytest.raises(OurFault, match="not open"):
            await device.queue("lab/a", b"")

    play(scene)


def test_a_second_agent_is_refused_by_what_it_does(path: Path) -> None:
    with Device.open(path) as device:
        device.publish("lab/a", b"")

        async def scene() -> None:
            async with AsyncDevice.open(path, client_id="another") as second:
                with pytest.raises(Fault, match="another agent runs"):
                    await second.receive()

        play(scene)


def test_without_an_identity_there_is_no_device(tmp_path: Path) -> None:
    for kind in (Device, AsyncDevice):
        with pytest.raises(Fault, match="holds no identity"):
            kind.open(tmp_path)
