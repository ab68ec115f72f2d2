"""Where a token's PIN comes from: a file, or a prompt before anything starts; never an argument, never a URI."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from troth.errors import Fault, Kind
from troth.keys.files import read_bounded
from troth.limits import PKCS11_PIN_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Pin:
    """A PIN as it was read."""

    value: str = field(repr=False)
    stamp: object = None
    """Changes when somebody gives it anew, even the same one: a PIN that was refused is tried once more then."""


class PinSource(Protocol):
    """Whoever has the PIN."""

    def read(self) -> Pin:
        """Return the PIN as it is now. Raises `Fault` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class PinFile:
    """A PIN in a file, without the line's end."""

    path: Path

    def read(self) -> Pin:
        """Return what is in the file. Raises `Fault`: not found, misconfigured, unavailable, malformed, too large."""
        if self.path.exists() and self.path.stat().st_mode & 0o077:
            hint = f"chmod 600 {self.path}"
            raise Fault(Kind.MISCONFIGURED, f"others than its owner may read the PIN in {self.path}", hint=hint)
        value = read_bounded(self.path, PKCS11_PIN_BYTES_MAX).rstrip(b"\r\n")
        if not value or not value.isascii():
            raise Fault(Kind.MALFORMED, f"there is no PIN in {self.path}", hint="write it there, in ASCII")
        at = self.path.stat()
        return Pin(value.decode("ascii"), (at.st_mtime_ns, at.st_ino, at.st_size))


@dataclass(frozen=True, slots=True)
class GivenPin:
    """A PIN that a person has typed. One that is refused is not tried again in this process."""

    value: str = field(repr=False)

    def read(self) -> Pin:
        """Return the PIN."""
        return Pin(self.value)
