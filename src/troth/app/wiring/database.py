"""The home's database, ready to use. Loads no more than a command needs."""

from troth.app.home import Home
from troth.app.settings import Settings
from troth.store import revision
from troth.store.connect import Database, connect


def open_database(home: Home, settings: Settings) -> Database:
    """Return the home's database, its schema checked. Raises `Fault`: misconfigured, unavailable."""
    db = connect(settings.store.url, home.path)
    try:
        revision.check(db)
    except BaseException:
        db.dispose()
        raise
    return db
