"""Which parts make up each process: the one place where they are put together."""

import asyncio
import socket
from collections.abc import Callable
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

Stop = asyncio.Event
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
