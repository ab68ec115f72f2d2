"""The queue: in order, numbered for ever, bounded; what it has taken stays until it is removed."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from troth.device import queue as module
from troth.device.queue import Depth, Queue, Reading, find_depth
from troth.errors import Fault, Kind, OurFault
from troth.testing.clock import NOON


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    path.mkdir(mode=0o700)
    return path


def test_readings_come_out_as_they_went_in(path: Path) -> None:
    with Queue(path) as queue:
        first = queue.add("lab/a", b"\x00\xff", NOON, retain=True)
        second = queue.add("lab/b", b"")
        assert first == Reading(1, "lab/a", b"\x00\xff", NOON, retain=True)
        assert queue.waiting(10) == [first, second]
        assert queue.waiting(1) == [first]
        assert queue.waiting(10, behind=1) == [second]


def test_they_are_there_for_the_next_process_and_numbers_go_on(path: Path) -> None:
    with Queue(path) as queue:
        queue.add("lab/a", b"1")
    with Queue(path) as queue:
        queue.remove(1)
        assert queue.depth() == Depth(waiting=0, set_aside=0, last=1)
    with Queue(path) as queue:
        assert queue.add("lab/a", b"2").sequence == 2
    assert find_depth(path) == Depth(1, 0, 2)


def test_to_look_makes_no_queue(path: Path) -> None:
    assert find_depth(path) == Depth(0, 0, 0)
    assert not (path / "queue").exists()


def test_without_an_identity_there_is_no_queue(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught:
        Queue(tmp_path / "nobody")
    assert caught.value.kind is Kind.NOT_FOUND


def test_a_full_queue_takes_nothing_more_and_keeps_all(path: Path) -> None:
    with Queue(path, readings_max=3) as queue:
        for number in range(3):
            queue.add("lab/a", str(number).encode())
        with pytest.raises(Fault, match="the queue is full") as caught:
            queue.add("lab/a", b"3")
        assert caught.value.kind is Kind.TOO_LARGE
        assert [each.payload for each in queue.waiting(10)] == [b"0", b"1", b"2"]
        queue.remove(1)
        assert queue.add("lab/a", b"3").sequence == 4


def test_it_is_bounded_in_bytes_too(path: Path) -> None:
    with Queue(path, bytes_max=200_000) as queue:
        taken = 0
        with pytest.raises(Fault, match="the queue is full"):
            for _ in range(100):
                queue.add("lab/a", bytes(10_000))
                taken += 1
        assert 10 < taken <= 20
        for number in range(1, taken + 1):
            queue.remove(number)
        queue.add("lab/a", bytes(10_000))


def test_what_no_home_could_take_is_not_queued(path: Path) -> None:
    with Queue(path) as queue:
        with pytest.raises(Fault, match="more than a home takes"):
            queue.add("lab/a", bytes(256 * 1024))
        with pytest.raises(OurFault):
            queue.add("lab/#", b"")
        assert queue.depth() == Depth(0, 0, 0)


def test_a_seal_knows_the_number_and_the_time(path: Path) -> None:
    def seal(reading: Reading) -> bytes:
        return f"{reading.sequence} {reading.at} {reading.topic} ".encode() + reading.payload

    with Queue(path) as queue:
        queue.add("lab/a", b"0")
        queue.add("lab/b", b"on", NOON, seal=seal)
        assert queue.waiting(9)[1].payload == f"2 {NOON} lab/b on".encode()


def test_where_the_seal_fails_nothing_is_queued(path: Path) -> None:
    def broken(reading: Reading) -> bytes:
        raise Fault(Kind.UNAVAILABLE, "the token is out")

    with Queue(path) as queue:
        with pytest.raises(Fault, match="token is out"):
            queue.add("lab/a", b"0", seal=broken)
        assert queue.waiting(9) == []
        assert queue.add("lab/a", b"1").sequence == 1


def test_what_is_set_aside_is_out_of_the_way_and_kept_within_bounds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEVICE_SET_ASIDE_MAX", 2)
    with Queue(path) as queue:
        for number in range(4):
            queue.add("lab/a", str(number).encode())
            queue.set_aside(number + 1)
        assert queue.depth() == Depth(waiting=0, set_aside=2, last=4)
        with sqlite3.connect(path / "queue" / "readings.db") as db:
            assert db.execute("SELECT payload FROM set_aside ORDER BY sequence").fetchall() == [(b"2",), (b"3",)]
        db.close()


def test_it_is_its_owners_alone(path: Path) -> None:
    with Queue(path) as queue:
        queue.add("lab/a", b"")
        modes = {each.name: each.stat().st_mode & 0o777 for each in (path / "queue").iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"readings.db", "readings.db-wal"} <= set(modes)
    assert (path / "queue").stat().st_mode & 0o777 == 0o700


def test_a_damaged_file_is_named(path: Path) -> None:
    (path / "queue").mkdir()
    (path / "queue" / "readings.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(Fault, match=f"the queue {path}/queue cannot be used") as caught:
        Queue(path)
    assert caught.value.kind is Kind.MISCONFIGURED


def test_who_sends_is_woken(path: Path) -> None:
    with Queue(path) as queue:
        os.mkfifo(queue.bell)
        queue.add("lab/a", b"nobody listens yet")
        listener = os.open(queue.bell, os.O_RDONLY | os.O_NONBLOCK)
        try:
            queue.add("lab/a", b"")
            assert os.read(listener, 10) == b"!"
        finally:
            os.close(listener)


@pytest.mark.slow
def test_processes_that_add_at_once_get_numbers_of_their_own(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from troth.device.queue import Queue\n"
        "with Queue(Path(sys.argv[1])) as queue:\n"
        "    print(*[queue.add('lab/a', sys.argv[2].encode()).sequence for _ in range(50)])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in ("x", "y", "z")
    ]
    numbers = [list(map(int, process.communicate()[0].split())) for process in processes]
    assert all(own == sorted(own) for own in numbers)
    assert sorted(number for own in numbers for number in own) == list(range(1, 151))
    with Queue(path) as queue:
        by_number = {each.sequence: each.payload for each in queue.waiting(1000)}
    assert all(
        by_number[number] == name for own, name in zip(numbers, (b"x", b"y", b"z"), strict=True) for number in own
    )
