"""The home: one folder with the settings, the keys and the data of one Troth.

Knows where things stand, not what is in them.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from troth.app.settings import Settings, read_settings
from troth.errors import Fault, Kind


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of a home stands."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """``troth.toml``; a home that has it is initialised."""
        return self.path / "troth.toml"

    @property
    def root_certificate(self) -> Path:
        """The root's certificate, which devices are given."""
        return self.path / "root.pem"

    @property
    def root_keys(self) -> Path:
        """The folder of the root's key, which may be taken to a safe."""
        return self.path / "root"

    @property
    def keys(self) -> Path:
        """The keys of the issuing CAs; read by the authority process only."""
        return self.path / "keys"

    @property
    def servers(self) -> Path:
        """Keys and chains of our own doors: ``NAME.key``, ``NAME.pem``."""
        return self.path / "servers"

    @property
    def operator(self) -> Path:
        """The first operator's key and chain."""
        return self.path / "operator"

    def chain_of(self, name: str) -> Path:
        """The certificate of one of our own doors, or of the first operator, with those above it."""
        return (self.operator if name == "operator" else self.servers) / f"{name}.pem"

    @property
    def checkpoint_key(self) -> Path:
        """The key that signs the journal's checkpoints."""
        return self.keys / "checkpoint.key"

    @property
    def verifier_key(self) -> Path:
        """Its public half, for whoever verifies."""
        return self.path / "journal.pub"

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint of the journal that this host has signed or seen."""
        return self.data / "checkpoint"

    @property
    def time_key(self) -> Path:
        """The long-term key of the time that devices are told."""
        return self.keys / "time.key"

    @property
    def time_servers(self) -> Path:
        """Its public half and where it answers, as a list of Roughtime servers: for devices without a clock."""
        return self.path / "time.json"

    @property
    def data(self) -> Path:
        """The database and the broker's store."""
        return self.path / "data"

    @property
    def run(self) -> Path:
        """Sockets, broker credentials, state of the running processes; made anew at each start."""
        return self.path / "run"

    @property
    def doorbell(self) -> Path:
        """The Unix socket at which the authority is woken."""
        return self.run / "authority.sock"

    @property
    def time_request(self) -> Path:
        """The key that the process which tells the time would sign with."""
        return self.run / "time.request"

    @property
    def time_delegation(self) -> Path:
        """The authority's leave for that key."""
        return self.run / "time.delegation"

    @property
    def status_file(self) -> Path:
        """What the supervisor last said of its processes."""
        return self.run / "status.json"

    @property
    def exists(self) -> bool:
        """Whether the home has been initialised."""
        return self.settings_file.is_file()


def open_home(path: Path, environment: Mapping[str, str]) -> tuple[Home, Settings]:
    """Return the initialised home at `path` with its settings. Raises `Fault` (misconfigured)."""
    home = Home(path.absolute())
    if not home.exists:
        raise Fault(
            Kind.MISCONFIGURED,
            f"{path} is not a home of troth",
            hint="make one with: troth init --home DIR, or name yours with --home or TROTH_HOME",
        )
    return home, read_settings(home.settings_file, environment)


@contextmanager
def running(home: Home) -> Iterator[None]:
    """Hold the home as its one supervisor, and empty ``run/``. Raises `Fault` when another holds it, or none can."""
    try:
        home.run.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(home.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"cannot write to {home.run}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Fault(
                Kind.CONFLICT, f"{home.path} is running already", hint="troth status tells where it listens"
            ) from error
        for leftover in home.run.iterdir():
            if leftover.name != "lock":
                leftover.unlink()
        yield
    finally:
        os.close(descriptor)


def is_running(home: Home) -> bool:
    """Say whether a supervisor holds the home now."""
    try:
        descriptor = os.open(home.run / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
