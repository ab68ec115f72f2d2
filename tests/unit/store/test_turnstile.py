import fcntl
import os
import threading
from pathlib import Path

import pytest

from troth.errors import Fault, Kind
from troth.store.turnstile import turnstile


@pytest.mark.parametrize("suffix", ["-queue", "-writer"])
def test_a_wait_has_an_end(tmp_path: Path, suffix: str) -> None:
    holder = os.open(tmp_path / f"troth.db{suffix}", os.O_RDWR | os.O_CREAT)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(Fault) as caught, turnstile(tmp_path / "troth.db", wait_s_max=0.01):
        pytest.fail("two writers are in")
    assert caught.value.kind is Kind.UNAVAILABLE
    assert caught.value.retry_after
    os.close(holder)
    with turnstile(tmp_path / "troth.db", wait_s_max=0.01):
        pass


def test_who_gives_up_leaves_the_line(tmp_path: Path) -> None:
    database = tmp_path / "troth.db"
    with turnstile(database):
        for _ in range(2):
            with pytest.raises(Fault), turnstile(database, wait_s_max=0.01):
                pytest.fail("two writers are in")
    with turnstile(database, wait_s_max=0.0):
        pass


def test_one_is_in_at_a_time_in_one_process_too(tmp_path: Path) -> None:
    inside: list[int] = []
    crowds: list[int] = []

    def enter() -> None:
        for _ in range(20):
            with turnstile(tmp_path / "troth.db"):
                inside.append(1)
                crowds.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert crowds == [1] * 80


def test_a_writer_that_fails_lets_the_next_in(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), turnstile(tmp_path / "troth.db"):
        _ = 1 / 0
    with turnstile(tmp_path / "troth.db", wait_s_max=0.0):
        pass


def test_a_missing_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Fault) as caught, turnstile(tmp_path / "gone" / "troth.db"):
        pass
    assert caught.value.kind is Kind.UNAVAILABLE


def test_the_lock_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with turnstile(tmp_path / "troth.db"):
        pass
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "troth.db-queue": 0o600,
        "troth.db-writer": 0o600,
    }
