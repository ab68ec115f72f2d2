"""Change the database. Only the journal, and the few rooms that keep what can be remade, may import this."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection

from troth.limits import WRITE_WAIT_S_MAX
from troth.points import Point, reached
from troth.store.connect import BEGIN, Database
from troth.store.faults import faults
from troth.store.turnstile import turnstile


@contextmanager
def write(db: Database) -> Iterator[Connection]:
    """Yield a connection whose statements are committed together when the block ends, or not at all when it raises.

    On SQLite one writer is in at a time. On PostgreSQL several are (READ COMMITTED): a change that decides by what it
    has read must lock that row (``with_for_update``) or say it again in its WHERE.
    Raises `Fault`: unavailable when the database does not answer or the turn does not come within `WRITE_WAIT_S_MAX`;
    conflict when a constraint refuses what another change has made impossible meanwhile.
    """
    queue = nullcontext() if db.path is None else turnstile(db.path)
    with queue, faults(), db.engine.connect().execution_options(**{BEGIN: "write"}) as connection, connection.begin():
        if db.path is None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(WRITE_WAIT_S_MAX * 1000)}")
        yield connection
        reached(Point.COMMITTING)
    reached(Point.COMMITTED)
