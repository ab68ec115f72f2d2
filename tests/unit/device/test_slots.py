import subprocess
import sys
from pathlib import Path

import pytest

from troth.device.slots import Slots, holding
from troth.errors import Fault, Kind


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    path = tmp_path / "identity"
    path.mkdir(mode=0o700)
    return Slots(path)


def test_the_first_slot_is_a_and_then_they_take_turns(slots: Slots) -> None:
    assert slots.current() is None
    names = []
    for _ in range(3):
        slot = slots.spare()
        slot.make()
        slots.switch(slot)
        assert slots.current() == slot
        names.append(slot.name)
    assert names == ["a", "b", "a"]
    assert (slots.path / "current").readlink() == Path("a")


def test_a_switch_that_was_cut_short_before_is_no_obstacle(slots: Slots) -> None:
    slot = slots.spare()
    slot.make()
    (slots.path / ".current.next").symlink_to("b")
    slots.switch(slot)
    assert slots.current() == slot


@pytest.mark.parametrize("target", ["c", "/etc", "../a", "a/b"])
def test_a_link_astray_is_not_followed(slots: Slots, target: str) -> None:
    (slots.path / "current").symlink_to(target)
    with pytest.raises(Fault, match="points to") as caught:
        slots.current()
    assert caught.value.kind is Kind.MISCONFIGURED


def test_a_current_that_is_no_link_is_named(slots: Slots) -> None:
    (slots.path / "current").mkdir()
    with pytest.raises(Fault, match="current cannot be read as a link"):
        slots.current()


def test_clearing_a_slot_leaves_nothing_of_it(slots: Slots) -> None:
    slot = slots.spare()
    slot.make()
    for name in ("key.pem", "request.csr", "chain.pem", ".key.pem.0123"):
        (slot.path / name).write_bytes(b"x")
    slot.clear()
    assert list(slot.path.iterdir()) == []


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "identity"
    with holding(path):
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity"
    path.mkdir(mode=0o755)
    path.chmod(0o750)
    with pytest.raises(Fault, match="open to others") as caught, holding(path):
        pass
    assert "chmod 700" in (caught.value.hint or "")


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "identity").write_text("")
    with pytest.raises(Fault, match="cannot be an identity folder") as caught, holding(tmp_path / "identity"):
        pass
    assert caught.value.kind is Kind.MISCONFIGURED


def test_two_processes_do_not_change_one_folder(slots: Slots) -> None:
    code = "import sys, fcntl, os; fd = os.open(sys.argv[1], os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX)"
    code += "; print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(slots.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Fault) as caught, holding(slots.path):
            pass
    assert caught.value.kind is Kind.CONFLICT
    with holding(slots.path):
        pass


def test_what_the_disk_refuses_is_a_fault_that_names_the_folder(slots: Slots) -> None:
    with pytest.raises(Fault, match=f"{slots.path} cannot be written: No space left") as caught, holding(slots.path):
        raise OSError(28, "No space left on device")
    assert caught.value.kind is Kind.MISCONFIGURED
