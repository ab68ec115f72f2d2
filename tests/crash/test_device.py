"""A device killed at every named point of renewing, and of sending what it has queued; no point goes unvisited."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash import devices
from tests.crash.conftest import SQLITE, sqlite_templates
from tests.crash.devices import READINGS, running_gateway
from tests.crash.playing import _CONTEXT, PATIENCE_S, copied, ended
from tests.crash.renewing import Home, certify_server, enroll_device
from tests.crash.test_renewal import check, current, made, opened
from tests.unit.device.gateway import Gateway
from tests.unit.device.home import Home as SmallHome
from tests.unit.device.home import make_home

from troth.clock import SystemClock
from troth.device.endpoint import Address
from troth.device.enroll import enroll_by
from troth.device.identity import open_identity
from troth.device.queue import Depth, find_depth
from troth.device.slot_keys import open_key
from troth.device.slots import Slots
from troth.points import DevicePoint
from troth.testing.crashing import reached_in

__all__ = ["sqlite_templates"]

pytestmark = pytest.mark.slow

RENEWING = (
    *(DevicePoint.KEY_MADE, DevicePoint.REQUESTED, DevicePoint.ANSWERED, DevicePoint.STORED, DevicePoint.TRIED),
    *(DevicePoint.SWITCHED, DevicePoint.PROVEN, DevicePoint.RETIRED),
)
SENDING = (DevicePoint.QUEUED, DevicePoint.SENT, DevicePoint.ACKNOWLEDGED, DevicePoint.REMOVED)
CUT = [f"{point}:{time}" for point in SENDING for time in (1, 2)]
CUT.remove(f"{DevicePoint.ACKNOWLEDGED}:2")
CUT.remove(f"{DevicePoint.REMOVED}:2")
"""All readings may be acknowledged at once."""


@pytest.fixture(scope="module")
def home(sqlite_templates: dict[bool, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that is open for all devices."""
    place = copied(sqlite_templates[True], tmp_path_factory.mktemp("template") / "place", SQLITE)
    certify_server(place)
    home = made(place.folder, tmp_path_factory.mktemp("open") / "place")
    with opened(home):
        yield home


def renewed(home: Home, thing: str, trace: Path, die_at: str | None, code: int) -> None:
    process = _CONTEXT.Process(target=devices.run_renewal, args=(home, thing, trace, die_at), name="device")
    process.start()
    ended(process, code)


@pytest.mark.parametrize("point", RENEWING)
def test_a_device_killed_while_it_renews_has_an_identity_that_works_and_ends_with_one(
    home: Home, tmp_path: Path, point: DevicePoint
) -> None:
    thing = f"at-{point.rpartition('.')[2]}"
    enroll_device(home, thing)
    before = current(home, thing)
    renewed(home, thing, tmp_path / "trace", f"{point}:1", -signal.SIGKILL)
    # What is in use is whole, and the home takes it: the next renewal is made by it.
    identity = open_identity(home.identity(thing))
    assert open_key(identity.slot).public_key == identity.certificate.public_key()
    renewed(home, thing, tmp_path / "trace", None, 0)
    check(home, thing, before)
    spare = Slots(home.identity(thing)).spare()
    assert not spare.path.exists() or list(spare.path.iterdir()) == []


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> SmallHome:
    return make_home(tmp_path_factory.mktemp("small"))


@pytest.fixture
def there(small_home: SmallHome) -> Iterator[Gateway]:
    with running_gateway(small_home) as there:
        yield there


def device(small_home: SmallHome, there: Gateway, tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    enroll_by(path, small_home.wanted(mqtt=Address("localhost", there.port)), small_home.answer, SystemClock())
    return path


def sent(path: Path, trace: Path, die_at: str | None, code: int) -> None:
    process = _CONTEXT.Process(target=devices.run_agent, args=(path, trace, die_at), name="device")
    process.start()
    process.join(PATIENCE_S)
    ended(process, code)


@pytest.mark.parametrize("point", CUT)
def test_a_device_killed_while_it_sends_loses_no_reading_and_no_order(
    small_home: SmallHome, there: Gateway, tmp_path: Path, point: str
) -> None:
    path = device(small_home, there, tmp_path)
    sent(path, tmp_path / "trace", point, -signal.SIGKILL)
    sent(path, tmp_path / "trace", None, 0)
    firsts = sorted(set(there.came), key=there.came.index)
    assert firsts == [str(number).encode() for number in range(1, READINGS + 1)]
    assert find_depth(path) == Depth(waiting=0, set_aside=0, last=READINGS)


def test_no_point_is_passed_unseen(home: Home, small_home: SmallHome, there: Gateway, tmp_path: Path) -> None:
    enroll_device(home, "undisturbed")
    renewed(home, "undisturbed", tmp_path / "renewing", None, 0)
    sent(device(small_home, there, tmp_path), tmp_path / "sending", None, 0)
    for trace, points in (("renewing", RENEWING), ("sending", SENDING)):
        seen = {each.partition(":")[0] for each in reached_in(tmp_path / trace) if ":" in each}
        assert seen - {"commit"} == {str(point) for point in points}
    assert {*RENEWING, *SENDING} == set(DevicePoint)
