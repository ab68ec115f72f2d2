"""A power cut before every change that enrollment makes to the disk: what is left is a device that can connect."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from tests.unit.device.home import THING, Home

from troth.clock import SystemClock
from troth.device.enroll import enroll_by
from troth.device.identity import open_identity
from troth.errors import Fault
from troth.keys.file import read_key
from troth.x509.profiles import ExtendedUse
from troth.x509.verify import verify_chain

CLOCK = SystemClock()
CHANGES = {"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Cut:
    """The folder as it stood before a change to it, and what had been sent by then."""

    folder: Path
    before: str
    sent: tuple[bytes, ...]


class _Watch:
    """The one audit hook of this process, which cannot be taken out again; idle but in `watching`."""

    seen: Callable[[str, Path], None] | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.seen is None or not (event in CHANGES or (event == "open" and self._writes(arguments))):
            return
        seen, self.seen = self.seen, None
        try:
            for argument in arguments[:2]:
                if isinstance(argument, str | Path):
                    seen(event, Path(argument))
        finally:
            self.seen = seen

    @staticmethod
    def _writes(arguments: tuple[object, ...]) -> bool:
        return isinstance(arguments[2], int) and bool(arguments[2] & WRITES)


WATCH = _Watch()
sys.addaudithook(WATCH)


@contextmanager
def watching(folder: Path, cuts: Path, sent: Sequence[bytes]) -> Iterator[list[Cut]]:
    """Keep a copy of `folder` as it is before each change to it."""
    found: list[Cut] = []

    def seen(event: str, path: Path) -> None:
        if path == folder or folder in path.parents:
            copy = cuts / f"{len(found):03}"
            if folder.exists():
                shutil.copytree(folder, copy, symlinks=True)
            found.append(Cut(copy, f"{event} {path.relative_to(folder)}", tuple(sent)))

    WATCH.seen = seen
    try:
        yield found
    finally:
        WATCH.seen = None


def tear(folder: Path) -> None:
    """Cut what was being written in half."""
    for file in folder.rglob(".*"):
        if file.is_file() and not file.is_symlink():
            os.truncate(file, file.stat().st_size // 2)


def assert_usable(folder: Path) -> None:
    identity = open_identity(folder)
    assert identity.thing == THING
    verify_chain(identity.chain, identity.trust, at=CLOCK.now(), use=ExtendedUse.CLIENT_AUTH)
    assert read_key(identity.slot.key_file, None).public_key == identity.certificate.public_key()


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_a_cut_at_any_instant_leaves_a_device_that_can_connect_and_go_on(
    tmp_path: Path, home: Home, again: bool
) -> None:
    folder = tmp_path / "identity"
    sent: list[bytes] = []

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        sent.append(request)
        return home.answer(request)

    if again:
        # Twice, so that the spare slot holds an old credential that has to go first.
        enroll_by(folder, home.wanted(), home.answer, CLOCK)
        enroll_by(folder, home.wanted(), home.answer, CLOCK)
    before = open_identity(folder).slot.name if again else None
    with watching(folder, tmp_path / "cuts", sent) as cuts:
        enroll_by(folder, home.wanted(), ask, CLOCK)
    assert len(cuts) >= 20
    assert any(cut.sent for cut in cuts)
    for cut in cuts:
        tear(cut.folder)
        _check(cut, home, before)


def _check(cut: Cut, home: Home, before: str | None) -> None:
    """The folder that is left can be used, and enrollment goes on from it with what was sent."""
    sent: list[bytes] = []

    def ask(request: bytes) -> Sequence[x509.Certificate]:
        sent.append(request)
        return home.answer(request)

    current = None
    if before is not None:
        assert_usable(cut.folder)
    try:
        current = open_identity(cut.folder).slot.name
    except Fault:
        assert before is None, cut.before
    enroll_by(cut.folder, home.wanted(), ask, CLOCK)
    assert_usable(cut.folder)
    switched = current != before
    if cut.sent and not switched:
        assert set(sent) <= set(cut.sent), f"another request after a cut before {cut.before}"
    assert not list(cut.folder.glob("?/request.csr"))
