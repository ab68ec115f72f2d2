"""Bring a database to the schema that this version of the program knows, or say that it is not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from troth.errors import Fault, Kind
from troth.store.connect import Database
from troth.store.read import read
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
        _refuse_unknown(config, MigrationContext.configure(connection).get_current_revision())
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(db: Database) -> str | None:
    """Return the revision of the schema that is there; None when there is none. Raises `Fault` (unavailable)."""
    with read(db) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(db: Database) -> None:
    """Return if the schema is the one this program knows.

    Raises `Fault`: misconfigured, with what to do, when it is missing, older or newer; unavailable.
    """
    with _scripts() as config:
        revision = current(db)
        _refuse_unknown(config, revision)
        if revision != ScriptDirectory.from_config(config).get_current_head():
            what = "has no troth schema" if revision is None else "has an older schema"
            hint = "run `troth init`, which also upgrades"
            raise Fault(Kind.MISCONFIGURED, f"the database {what}", detail=f"revision {revision}", hint=hint)


def _refuse_unknown(config: Config, revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise Fault(
            Kind.MISCONFIGURED,
            "the database was made by a newer version of troth",
            detail=f"revision {revision}",
            hint="run the version that made it, or restore a backup from before the upgrade",
        )


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
