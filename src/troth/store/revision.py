"""Which schema a database has, and whether it is the one that this version of the program knows.

Apart from `troth.store.migrate`, which can change it and takes ten times as long to load: every command looks.
"""

from typing import Final

from sqlalchemy import Connection, inspect, text

from troth.errors import Fault, Kind
from troth.store.connect import Database
from troth.store.read import read

REVISIONS: Final = ("0001",)
"""The revisions under ``migrations/versions``, oldest first; a test holds the two together."""
_TABLE: Final = "alembic_version"


def current(db: Database) -> str | None:
    """Return the revision of the schema that is there; None when there is none. Raises `Fault` (unavailable)."""
    with read(db) as connection:
        return find_revision(connection)


def find_revision(connection: Connection) -> str | None:
    """Return the revision that `connection` sees; None when there is no schema."""
    if not inspect(connection).has_table(_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar_one_or_none()  # noqa: S608
    return found


def check(db: Database) -> None:
    """Return if the schema is the one this program knows.

    Raises `Fault`: misconfigured, with what to do, when it is missing, older or newer; unavailable.
    """
    revision = require(db)
    if revision != REVISIONS[-1]:
        hint = "run `troth init`, which also upgrades"
        raise Fault(Kind.MISCONFIGURED, "the database has an older schema", detail=f"revision {revision}", hint=hint)


def require(db: Database) -> str:
    """Return the revision of the schema, one that is known, of a database that was used before.

    Raises `Fault`: misconfigured when there is none, or one of a newer version; unavailable.
    """
    revision = current(db)
    refuse_unknown(revision)
    if revision is None:
        hint = "look whether [store] url names this home's database, or restore a backup"
        raise Fault(Kind.MISCONFIGURED, "the database has no troth schema", hint=hint)
    return revision


def refuse_unknown(revision: str | None) -> None:
    """Return if `revision` is known, or is none. Raises `Fault` (misconfigured)."""
    if revision is not None and revision not in REVISIONS:
        raise Fault(
            Kind.MISCONFIGURED,
            "the database was made by a newer version of troth",
            detail=f"revision {revision}",
            hint="run the version that made it, or restore a backup from before the upgrade",
        )
