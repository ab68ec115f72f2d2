"""How much there is. For people; walks an index, so it is not for every connection."""

from sqlalchemy import Connection, func, select

from troth.registry import tables


def count_things(connection: Connection) -> int:
    """Return the number of things."""
    return int(connection.execute(select(func.count()).select_from(tables.things)).scalar_one())


def count_certificates(connection: Connection) -> int:
    """Return the number of certificates, in whatever state."""
    return int(connection.execute(select(func.count()).select_from(tables.certificates)).scalar_one())
