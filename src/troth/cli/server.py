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

from troth.clock import Clock, SystemClock, parse_duration

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
def opened(path: Path) -> Iterator[Opened]:
    """Open the home at `path` for one command. Raises `Fault` when it or its database cannot be used."""
    from troth.app import logs
    from troth.app.home import open_home
    from troth.app.wiring.database import open_database

    logs.configure("cli", "console", level=logging.WARNING)
    home, settings = open_home(path, os.environ)
    db = open_database(home, settings)
    try:
        yield Opened(home, settings, db, SystemClock(), f"operator:{_user()}")
    finally:
        db.dispose()


def duration(text: str) -> timedelta:
    """Parse a duration option. Raises `Fault` (malformed)."""
    return parse_duration(text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
