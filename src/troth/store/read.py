"""Look at the database, at one moment of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection

from troth.store.connect import BEGIN, Database
from troth.store.faults import faults

_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {BEGIN: "read"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


@contextmanager
def read(db: Database) -> Iterator[Connection]:
    """Yield a connection on which every statement sees the same committed state, and none can write.

    Hold it briefly: an open snapshot keeps SQLite's write-ahead log from shrinking.
    Raises `Fault` (unavailable) when the database does not answer, in the block too.
    """
    with faults(), db.engine.connect().execution_options(**_OPTIONS[db.dialect]) as connection, connection.begin():
        yield connection
