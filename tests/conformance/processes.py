"""Starts `writer.py` as a real second process and ends it by its own handle."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from troth.store.connect import Database

SCRIPT = Path(__file__).with_name("writer.py")


def url_of(db: Database) -> str:
    return db.engine.url.render_as_string(hide_password=False) if db.path is None else f"sqlite:///{db.path}"


@contextmanager
def writer(db: Database, changes: int = 0, entries: int = 1) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that is writing to `db`; it is ended with the block."""
    command = [sys.executable, str(SCRIPT), url_of(db), str(changes), str(entries)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()
