"""The two slots of an identity folder, and the link that says which one is in use.

A slot holds a private key, the request made with it and the chain that answered. Renaming ``current`` is the only
switch, so that a power cut at any instant leaves one whole credential in use. A request on disk is an unfinished one:
it goes when its answer is in use. Knows no network and no meaning of a certificate.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth.errors import Fault, Kind

NAMES: Final = ("a", "b")
_CURRENT: Final = "current"
_CURRENT_NEXT: Final = ".current.next"


@dataclass(frozen=True, slots=True)
class Slot:
    """One credential's place."""

    path: Path

    @property
    def name(self) -> str:
        """``a`` or ``b``."""
        return self.path.name

    @property
    def key_file(self) -> Path:
        """The private key, PEM."""
        return self.path / "key.pem"

    @property
    def uri_file(self) -> Path:
        """Where the private key is, if it is in a token: its ``pkcs11:`` URI."""
        return self.path / "key.uri"

    @property
    def has_key(self) -> bool:
        """Whether there is a key, or word of one."""
        return self.key_file.exists() or self.uri_file.exists()

    @property
    def request_file(self) -> Path:
        """The unanswered request, DER (PKCS#10)."""
        return self.path / "request.csr"

    @property
    def chain_file(self) -> Path:
        """The certificate and its issuers, PEM, the root left out."""
        return self.path / "chain.pem"

    def make(self) -> None:
        """Make the slot's folder if there is none."""
        self.path.mkdir(mode=0o700, exist_ok=True)

    def clear(self) -> None:
        """Remove what is in the slot, leftovers of writes that were cut short included."""
        for leftover in self.path.iterdir():
            leftover.unlink()
        sync_folder(self.path)

    def settle(self) -> None:
        """Remove the request: its answer is in use."""
        with suppress(FileNotFoundError):
            self.request_file.unlink()
            sync_folder(self.path)


@dataclass(frozen=True, slots=True)
class Slots:
    """Both slots of the identity folder `path`."""

    path: Path

    def current(self) -> Slot | None:
        """Return the slot in use; None when there is none yet. Raises `Fault` (misconfigured) for a link astray."""
        link = self.path / _CURRENT
        try:
            name = str(link.readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Fault(
                Kind.MISCONFIGURED, f"{link} cannot be read as a link: {error.strerror}", hint="it must point to a or b"
            ) from error
        if name not in NAMES:
            raise Fault(Kind.MISCONFIGURED, f"{link} points to {name[:40]!r}", hint="it must point to a or b")
        return Slot(self.path / name)

    def spare(self) -> Slot:
        """Return the slot that is not in use, where the next credential is made."""
        current = self.current()
        return Slot(self.path / (NAMES[1] if current and current.name == NAMES[0] else NAMES[0]))

    def previous(self) -> Slot | None:
        """Return the slot with the credential that was in use before, for as long as it is kept."""
        current, spare = self.current(), self.spare()
        is_whole = spare.has_key and spare.chain_file.exists() and not spare.request_file.exists()
        return spare if current is not None and is_whole else None

    def switch(self, slot: Slot) -> None:
        """Make `slot` the one in use, at one instant."""
        sync_folder(slot.path)
        following = self.path / _CURRENT_NEXT
        following.unlink(missing_ok=True)
        following.symlink_to(slot.name)
        following.replace(self.path / _CURRENT)
        sync_folder(self.path)


@contextmanager
def holding(path: Path) -> Iterator[Slots]:
    """Make the identity folder if there is none, and hold it as the only one who changes it.

    Raises `Fault`: conflict when another process holds it, misconfigured when it cannot be made or written, is not a
    folder, or others than its owner may look into it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"{path} cannot be an identity folder: {error.strerror}") from error
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            raise Fault(
                Kind.MISCONFIGURED, f"{path} is open to others than its owner", hint=f"close it with: chmod 700 {path}"
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Fault(
                Kind.CONFLICT, f"{path} is being changed by another process", hint="wait until it is done"
            ) from error
        yield Slots(path)
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"{path} cannot be written: {error.strerror}", detail=str(error)) from error
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
