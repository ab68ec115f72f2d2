"""Bring a database to the schema that this version of the program knows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config

from troth.errors import Fault, Kind
from troth.store.connect import Database
from troth.store.revision import find_revision, refuse_unknown
from troth.store.write import write

_ONE_AT_A_TIME: Final = 0x74726F7468
"""The PostgreSQL advisory lock under which a schema is changed ("troth")."""


def upgrade(db: Database) -> None:
    """Create or upgrade the schema, in one transaction. Does nothing when it is the newest already.

    An SQLite file that does not exist is created, readable by its owner only.
    Raises `Fault`: misconfigured when the database was made by a newer version; unavailable.
    """
    if db.path is not None:
        _create_file(db)
    with _scripts() as config, write(db) as connection:
        if db.path is None:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
        refuse_unknown(find_revision(connection))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _create_file(db: Database) -> None:
    assert db.path is not None
    try:
        os.close(os.open(db.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Fault(
            Kind.MISCONFIGURED,
            "the database file cannot be created",
            detail=str(error),
            hint="the directory in [store] url must exist and be writable for this user",
        ) from error


@contextmanager
def _scripts() -> Iterator[Config]:
    with as_file(files("troth.store") / "migrations") as directory:
        config = Config()
        config.set_main_option("script_location", str(directory).replace("%", "%%"))
        yield config
