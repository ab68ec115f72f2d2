"""The home's database, ready to use. Loads no more than a command needs."""

from troth.app.home import Home
from troth.app.settings import Settings
from troth.errors import Fault, Kind
from troth.store import revision
from troth.store.connect import Database, connect


def open_database(home: Home, settings: Settings) -> Database:
    """Return the home's database, its schema checked. Raises `Fault`: misconfigured, unavailable."""
    db = find_database(home, settings)
    try:
        revision.check(db)
    except BaseException:
        db.dispose()
        raise
    return db


def find_database(home: Home, settings: Settings) -> Database:
    """Return the database of a home that was made before, of whatever schema. Raises `Fault` (misconfigured)."""
    db = connect(settings.store.url, home.path)
    if db.path is not None and not db.path.exists():
        hint = "restore a backup, or say with [store] url where it is"
        raise Fault(Kind.MISCONFIGURED, f"the database {db.path} does not exist", hint=hint)
    return db
