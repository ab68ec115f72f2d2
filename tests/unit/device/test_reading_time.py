"""The time of a reading where the device's own clock says nothing: told once, counted on, never made up."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from troth.device.reading_time import AGE_MAX, ReadingTime
from troth.device.uptime import Uptime
from troth.errors import Fault, Kind
from troth.testing.clock import NOON, FakeClock

HOUR = timedelta(hours=1)
OFF = FakeClock(datetime.fromisoformat("1970-01-02T00:00:00+00:00"))


class Machine(Uptime):
    """A machine that is as long up as is said."""

    def __init__(self) -> None:
        self.name, self.up = "first", timedelta(seconds=90)

    def boot(self) -> str:
        return self.name

    def passed(self) -> timedelta:
        return self.up


class Servers:
    """Time servers: what they tell, and how often they were asked."""

    def __init__(self, at: datetime) -> None:
        self.at, self.asked = at, 0
        self.fault: Fault | None = None

    def now(self) -> datetime:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return self.at


def test_it_is_asked_once_and_counted_on(tmp_path: Path) -> None:
    machine, servers = Machine(), Servers(NOON)
    assert ReadingTime(tmp_path, servers, OFF, machine).now() == NOON
    for passed in (HOUR, AGE_MAX):
        machine.up = timedelta(seconds=90) + passed
        # Another process of the same device.
        assert ReadingTime(tmp_path, servers, OFF, machine).now() == NOON + passed
    assert servers.asked == 1
    machine.up += HOUR
    servers.at = NOON + timedelta(days=2)
    assert ReadingTime(tmp_path, servers, OFF, machine).now() == servers.at
    assert servers.asked == 2


def test_it_goes_on_without_servers_until_the_machine_is_started_anew(tmp_path: Path) -> None:
    machine, servers = Machine(), Servers(NOON)
    clock = ReadingTime(tmp_path, servers, OFF, machine)
    clock.now()
    servers.fault = Fault(Kind.UNAVAILABLE, "nobody answers")
    machine.up += 30 * AGE_MAX
    assert clock.now() == NOON + 30 * AGE_MAX
    machine.name = "second"
    assert clock.find() is None
    with pytest.raises(Fault, match="nobody answers"):
        clock.now()


def test_servers_that_lie_stop_it(tmp_path: Path) -> None:
    machine, servers = Machine(), Servers(NOON)
    clock = ReadingTime(tmp_path, servers, OFF, machine)
    clock.now()
    machine.up += 2 * AGE_MAX
    servers.fault = Fault(Kind.UNAUTHENTICATED, "they contradict each other")
    assert clock.find() is None


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"boot": "first", "told_us": 1e400, "passed_us": 0}', b"\xff"]
)
def test_a_damaged_note_is_made_again(tmp_path: Path, content: bytes) -> None:
    machine, servers = Machine(), Servers(NOON)
    (tmp_path / "told.json").write_bytes(content)
    clock = ReadingTime(tmp_path, servers, OFF, machine)
    assert (clock.now(), servers.asked) == (NOON, 1)
    assert (clock.now(), servers.asked) == (NOON, 1)


def test_who_was_given_no_servers_goes_by_its_own_clock(tmp_path: Path) -> None:
    assert ReadingTime(tmp_path, None, FakeClock(NOON), Machine()).now() == NOON


def test_the_machine_counts_on_and_names_its_start() -> None:
    machine = Uptime()
    assert machine.passed() <= machine.passed() > timedelta(0)
    assert machine.boot() == machine.boot() != ""
