import os
import stat
from pathlib import Path

import pytest

from troth.errors import Fault, Kind
from troth.keys.files import PUBLIC, read_bounded, write_private


@pytest.fixture(autouse=True)
def _open_umask() -> object:
    """No help from the process's umask."""
    old = os.umask(0)
    yield
    os.umask(old)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_private(path, b"secret")
    assert (path.read_bytes(), _mode(path)) == (b"secret", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]


def test_a_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    opened: list[int] = []
    system_open = os.open

    def watch(path: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = system_open(path, flags, mode)
        if flags & os.O_CREAT:
            opened.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "fsync", look)
    monkeypatch.setattr(os, "open", watch)
    write_private(tmp_path / "key.pem", b"secret")
    assert opened == [0o600]
    # the file before it is in place, and then its directory
    assert modes == [0o600, _mode(tmp_path)]


def test_the_mode_asked_for_is_the_mode_given(tmp_path: Path) -> None:
    os.umask(0o077)
    write_private(tmp_path / "root.pem", b"public", mode=PUBLIC)
    assert _mode(tmp_path / "root.pem") == 0o644


def test_an_existing_file_is_overwritten_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_private(path, b"old")
    with pytest.raises(Fault) as caught:
        write_private(path, b"new")
    assert caught.value.kind is Kind.CONFLICT
    assert path.read_bytes() == b"old"
    write_private(path, b"new", overwrite=True)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "key.pem", tmp_path / "elsewhere"
    path.symlink_to(target)
    with pytest.raises(Fault) as caught:
        write_private(path, b"secret")
    assert caught.value.kind is Kind.CONFLICT
    write_private(path, b"secret", overwrite=True)
    assert not target.exists()
    assert not path.is_symlink()


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    write_private(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Fault) as caught:
        write_private(path, b"new", overwrite=True)
    assert caught.value.kind is Kind.UNAVAILABLE
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("key.pem", b"old")]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "key.pem"
    with pytest.raises(Fault) as caught:
        write_private(path, b"secret")
    assert caught.value.kind is Kind.MISCONFIGURED
    assert str(path) in caught.value.message


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, b"12345")
    assert read_bounded(path, 5) == b"12345"
    for wrong, bytes_max, kind in (
        (path, 4, Kind.TOO_LARGE),
        (tmp_path / "missing", 5, Kind.NOT_FOUND),
        (tmp_path, 5, Kind.MISCONFIGURED),
    ):
        with pytest.raises(Fault) as caught:
            read_bounded(wrong, bytes_max)
        assert caught.value.kind is kind
