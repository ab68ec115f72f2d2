"""Which parts make up each process: the one place where they are put together."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from troth.app.cabinet import FileCabinet
from troth.app.home import Home, open_home
from troth.app.settings import Settings
from troth.authority.door import Door
from troth.authority.hierarchy import open_keys
from troth.authority.serve import serve as serve_authority
from troth.clock import SystemClock
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.store.read import read

Job = dict[str, Any]
Ready = Callable[[], None]


def open_database(home: Home, settings: Settings) -> Database:
    """Return the home's database, its schema checked. Raises `Fault`: misconfigured, unavailable."""
    db = connect(settings.store.url, home.path)
    try:
        migrate.check(db)
    except BaseException:
        db.dispose()
        raise
    return db


@contextmanager
def _parts(job: Job) -> Iterator[tuple[Home, Settings, Database]]:
    home, settings = open_home(Path(job["home"]), os.environ)
    db = open_database(home, settings)
    try:
        yield home, settings, db
    finally:
        db.dispose()


async def run_authority(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """The process that holds the CA keys: signs what committed intents stand for."""
    with _parts(job) as (home, settings, db):
        passphrase = job["passphrase"]
        cabinet = FileCabinet(home.path, passphrase.encode() if passphrase else None)
        with read(db) as connection:
            door = Door(open_keys(connection, cabinet), settings.site.public_url)
        await serve_authority(db, SystemClock(), door, home.doorbell, stop, ready)
