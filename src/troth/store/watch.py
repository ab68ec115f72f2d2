"""Notice that something has been committed, without reading it: the doorbell of those who follow the journal."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import URL

from troth.store.connect import POSTGRESQL_ARGUMENTS, Database, open_sqlite
from troth.store.faults import unavailable

FALLBACK_S: Final = 1.0
"""PostgreSQL: how often to look although no bell rang."""


class Watch(Protocol):
    """Something that waits for commits."""

    def rings(self) -> bool:
        """Tell at once whether something may have been committed since `wait` returned; if so, `wait` is over too.

        False is an answer of the database at this very moment. Raises `Fault` (unavailable).
        """
        ...

    async def wait(self, poll_s: float | None = None) -> bool:
        """Wait a moment; return whether something may have been committed since the last return.

        `poll_s` is how long SQLite is left alone this time, instead of what was agreed on. False says that the database
        answered and nothing was. Raises `Fault` (unavailable) when that can no longer be told.
        """
        ...


def watch(db: Database, channel: str, poll_s: float) -> AbstractAsyncContextManager[Watch]:
    """Return a watch over `db`, to be entered and used in one event loop.

    PostgreSQL rings on NOTIFY of `channel`. SQLite is asked every `poll_s` seconds whether its data changed, which
    takes microseconds and no lock. Whatever is committed after the watch is entered ends a `wait`.
    """
    return _watch_postgresql(db.engine.url, channel) if db.path is None else _watch_sqlite(db.path, poll_s)


class _SQLiteWatch:
    def __init__(self, connection: sqlite3.Connection, path: Path, poll_s: float) -> None:
        self._connection = connection
        self._path = path
        self._poll_s = poll_s
        self._file = _identity(path)
        self._version = self._data_version()
        self._rung = asyncio.Event()

    def rings(self) -> bool:
        if self._data_version() == self._version:
            return False
        self._rung.set()
        return True

    async def wait(self, poll_s: float | None = None) -> bool:
        timer = asyncio.get_running_loop().call_later(poll_s or self._poll_s, self._rung.set)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()
        self._rung.clear()
        before, self._version = self._version, self._data_version()
        return self._version != before

    def _data_version(self) -> int:
        # A file moved away goes on answering for ever, and nobody writes to it any more.
        if _identity(self._path) != self._file:
            raise unavailable("the database file has been replaced")
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise unavailable(str(error)) from error


def _identity(path: Path) -> tuple[int, int]:
    try:
        # Not Path.stat, which takes several times as long: this is asked hundreds of times a second.
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise unavailable(str(error)) from error
    return status.st_dev, status.st_ino


@asynccontextmanager
async def _watch_sqlite(path: Path, poll_s: float) -> AsyncIterator[Watch]:
    try:
        connection = open_sqlite(path)
    except sqlite3.Error as error:
        raise unavailable(str(error)) from error
    try:
        yield _SQLiteWatch(connection, path, poll_s)
    finally:
        connection.close()


@asynccontextmanager
async def _watch_postgresql(url: URL, channel: str) -> AsyncIterator[Watch]:
    from psycopg import AsyncConnection, Error, sql
    from psycopg.conninfo import make_conninfo

    class PostgreSQLWatch:
        def __init__(self) -> None:
            self._listening: asyncio.Task[None] | None = None

        def rings(self) -> bool:
            # A NOTIFY is on its way for a moment after the commit, so that silence is no answer.
            if self._listening is not None:
                self._listening.cancel()
            return True

        async def wait(self, poll_s: float | None = None) -> bool:
            self._listening = asyncio.create_task(self._listen())
            (ending,) = await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
            if isinstance(ending, (Error, OSError)):
                raise unavailable(str(ending)) from ending
            if isinstance(ending, Exception):
                raise ending
            # A bell that nobody can ring any more is silent too, so the end of the wait is no answer in itself.
            return True

        async def _listen(self) -> None:
            async for _ in connection.notifies(timeout=FALLBACK_S, stop_after=1):
                pass

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        connection = await AsyncConnection.connect(make_conninfo(address, **POSTGRESQL_ARGUMENTS), autocommit=True)
    except (Error, OSError) as error:
        raise unavailable(str(error)) from error
    try:
        try:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except (Error, OSError) as error:
            raise unavailable(str(error)) from error
        yield PostgreSQLWatch()
    finally:
        # Also when we are cancelled while it does not answer.
        await connection.close()
