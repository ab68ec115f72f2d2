"""What a database's own errors mean to those who ask: try again later, or someone else was first."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from troth.errors import Fault, Kind

RETRY_AFTER_S: Final = 1.0


def unavailable(detail: str) -> Fault:
    """Return the fault for a database that does not answer."""
    return Fault(
        Kind.UNAVAILABLE,
        "the database does not answer",
        detail=detail,
        hint="is [store] url right, the database up, the disk full? what runs tries again; commands are to be repeated",
        retry_after=RETRY_AFTER_S,
    )


@contextmanager
def faults() -> Iterator[None]:
    """Turn the database's errors inside the block into faults.

    Locked, gone, full, cut off: UNAVAILABLE. A constraint that does not hold, which on PostgreSQL also happens to a
    change that looked before another committed: CONFLICT. A statement that the database does not understand is our
    own mistake and passes as it is.
    """
    try:
        yield
    except exc.IntegrityError as error:
        raise Fault(
            Kind.CONFLICT,
            "another change came first",
            detail=str(error.orig),
            hint="look at what is there now, then try again",
        ) from error
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError) as error:
        raise unavailable(str(error)) from error
    except exc.DatabaseError as error:
        # SQLite reports a damaged or foreign file as the bare DatabaseError.
        if type(error) is not exc.DatabaseError:
            raise
        raise unavailable(str(error)) from error
