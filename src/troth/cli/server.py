"""What every command on a home shares: its options, and the way to the home's database.

Nothing of the server is loaded before a home is opened: some commands do without one.
"""

import getpass
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from troth.cli.output import say
from troth.cli.passphrase import VARIABLE, read_passphrase
from troth.clock import Clock, SystemClock, parse_duration
from troth.errors import Fault, Kind

if TYPE_CHECKING:
    from troth.app.home import Home
    from troth.app.settings import Settings
    from troth.store.connect import Database

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="TROTH_HOME", help="The home to work on.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON on stdout; everything else goes to stderr.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many rows.")]
WhyOption = Annotated[str, typer.Option("--why", help="The reason, for the journal.")]

HOME: Final = Path("home")


@dataclass(frozen=True, slots=True)
class Opened:
    """A home with its database at hand, and who works on it."""

    home: "Home"
    settings: "Settings"
    db: "Database"
    clock: Clock
    actor: str


@contextmanager
def opened(path: Path, passphrase: bytes | None = None) -> Iterator[Opened]:
    """Open the home at `path` for one command. Raises `Fault` when it or its database cannot be used.

    What the command changed while no authority runs is signed at its end, with the key that `passphrase`, or the one in
    the file of ``TROTH_PASSPHRASE_FILE``, opens; where none does, that is said, and the authority signs when it starts.
    """
    from troth.app import logs
    from troth.app.home import open_home
    from troth.app.wiring.database import open_database
    from troth.journal.entries import head
    from troth.store.read import read

    logs.configure("cli", "console", level=logging.WARNING)
    home, settings = open_home(path, os.environ)
    db = open_database(home, settings)
    here = Opened(home, settings, db, SystemClock(), f"operator:{_user()}")
    try:
        with read(db) as connection:
            begun = head(connection)
        try:
            yield here
        finally:
            _sign(here, begun, passphrase)
    finally:
        db.dispose()


def duration(text: str) -> timedelta:
    """Parse a duration option. Raises `Fault` (malformed)."""
    return parse_duration(text)


def _sign(here: Opened, begun: int, passphrase: bytes | None) -> None:
    """Sign the journal when it has grown since entry `begun`, or say why not: what was done is done in any case."""
    from troth.app.wiring.signer import sign_at_rest
    from troth.journal.entries import head
    from troth.store.read import read

    try:
        with read(here.db) as connection:
            if head(connection) == begun:
                return
        file = os.environ.get(VARIABLE)
        if passphrase is None and file not in {None, "-"}:
            passphrase = read_passphrase(file)
        sign_at_rest(here.home, here.settings, here.db, here.clock, passphrase)
    except Fault as fault:
        say(f"troth: warning: what this changed is not signed in the journal: {fault.message}")
        locked = "troth up signs it when it starts; or name the passphrase's file in TROTH_PASSPHRASE_FILE"
        say(f"  hint: {locked if fault.kind is Kind.BAD_KEY else fault.hint or locked}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
