"""From the URL in the settings to a database that can be read and written. Opens nothing before the first use."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.pool import QueuePool

from troth.errors import Fault, Kind
from troth.limits import (
    DATABASE_CONNECTION_WAIT_S_MAX,
    DATABASE_CONNECTIONS_MAX,
    DATABASE_SILENCE_S_MAX,
    WRITE_WAIT_S_MAX,
)
from troth.store.faults import unavailable

BEGIN: Final = "troth_begin"
"""The execution option that says which transaction a connection opens: ``read`` or ``write``."""

_BEGIN_READ: Final = ("PRAGMA query_only=ON", "BEGIN")
_BEGIN_WRITE: Final = ("PRAGMA query_only=OFF", "BEGIN IMMEDIATE")
_KEPT_OPEN: Final = 4
CACHE_KIB_MAX: Final = 16_384
"""Pages that an SQLite connection keeps, as they are used: rows with random keys touch many of them in one change."""
LOG_PAGES: Final = 8000
"""How long the write-ahead log grows before it is copied into the database: 32 MB of pages, of which many are there
several times and are copied once. SQLite's own 1000 is less than one change that issues 256 certificates writes."""

POSTGRESQL_ARGUMENTS: Final[dict[str, str | int]] = {
    "application_name": "troth",
    "connect_timeout": int(DATABASE_CONNECTION_WAIT_S_MAX),
    # A server behind a cut wire is noticed after DATABASE_SILENCE_S_MAX, not after the kernel's quarter of an hour.
    "keepalives_idle": int(DATABASE_SILENCE_S_MAX / 2),
    "keepalives_interval": 1,
    "keepalives_count": int(DATABASE_SILENCE_S_MAX / 2),
    "tcp_user_timeout": int(DATABASE_SILENCE_S_MAX * 1000),
}


@dataclass(frozen=True, slots=True)
class Database:
    """One database. Threads may share it; a forked process must connect anew."""

    engine: Engine
    path: Path | None
    """The file, for SQLite; None for PostgreSQL."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        """Which of the two it is."""
        return "postgresql" if self.path is None else "sqlite"

    def dispose(self) -> None:
        """Close every idle connection. The database can be used again afterwards."""
        self.engine.dispose()


def connect(url: str, base: Path) -> Database:
    """Return the database that `url` names: ``sqlite:///PATH`` (relative to `base`) or ``postgresql+psycopg://…``.

    Does no I/O. Raises `Fault` (misconfigured) for a URL that cannot be read or names another kind of database.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise _misconfigured("the database URL cannot be read", str(error)) from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:" and not parsed.query:
            return _sqlite(base / parsed.database)
        case "postgresql":
            return _postgresql(parsed)
    raise _misconfigured("the database URL names neither an SQLite file nor a PostgreSQL server", None)


def _misconfigured(message: str, detail: str | None) -> Fault:
    hint = "write sqlite:///data/troth.db or postgresql+psycopg://USER@HOST/NAME as [store] url"
    return Fault(Kind.MISCONFIGURED, message, detail=detail, hint=hint)


def _postgresql(url: URL) -> Database:
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=_KEPT_OPEN,
            max_overflow=DATABASE_CONNECTIONS_MAX - _KEPT_OPEN,
            pool_timeout=DATABASE_CONNECTION_WAIT_S_MAX,
            pool_pre_ping=True,
            connect_args=POSTGRESQL_ARGUMENTS,
        )
    except ImportError as error:
        hint = "pip install 'troth[server,postgresql]'"
        raise Fault(Kind.MISCONFIGURED, "the PostgreSQL driver is not installed", hint=hint) from error
    return Database(engine, None)


def _sqlite(path: Path) -> Database:
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: open_sqlite(path),
        poolclass=QueuePool,
        pool_size=_KEPT_OPEN,
        max_overflow=DATABASE_CONNECTIONS_MAX - _KEPT_OPEN,
        pool_timeout=DATABASE_CONNECTION_WAIT_S_MAX,
    )
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, path)


def open_sqlite(path: Path) -> sqlite3.Connection:
    """Return a new connection of Python's own driver to an SQLite file that exists, with our pragmas set.

    WAL lets readers go on while one writes; ``synchronous=FULL`` makes a commit survive a power cut.
    Raises sqlite3.Error, and `Fault` (misconfigured) where the file system does not admit WAL.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=WRITE_WAIT_S_MAX,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB_MAX}")
        connection.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    except BaseException:
        connection.close()
        raise
    if mode != "wal":
        connection.close()
        hint = "put the home on a local file system; network file systems cannot share a write-ahead log"
        raise Fault(Kind.MISCONFIGURED, "the database's file system does not admit a write-ahead log", hint=hint)
    return connection


def _begin_sqlite(connection: Connection) -> None:
    # The driver is told never to begin by itself (isolation_level=None), so that a read never becomes a write halfway,
    # and a writer takes the write lock at once instead of failing at its first INSERT.
    begin = _BEGIN_WRITE if connection.get_execution_options().get(BEGIN) == "write" else _BEGIN_READ
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    try:
        for statement in begin:
            driver.execute(statement)
    except sqlite3.Error as error:
        raise unavailable(str(error)) from error
