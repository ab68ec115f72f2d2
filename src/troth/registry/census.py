"""How much there is. For people; walks an index, so it is not for every connection."""

from sqlalchemy import Connection, func, select

from troth.registry import tables
from troth.registry.certificates import CertificateState


def count_things(connection: Connection) -> int:
    """Return the number of things."""
    return int(connection.execute(select(func.count()).select_from(tables.things)).scalar_one())


def count_certificates(connection: Connection) -> int:
    """Return the number of certificates, in whatever state."""
    return int(connection.execute(select(func.count()).select_from(tables.certificates)).scalar_one())


def count_by_issuer(connection: Connection) -> dict[str, dict[CertificateState, int]]:
    """Return how many certificates each issuer has signed, by their state. Reads every row: for people who look."""
    columns = tables.certificates.c
    rows = connection.execute(
        select(columns.issuer_id, columns.state, func.count()).group_by(columns.issuer_id, columns.state)
    )
    found: dict[str, dict[CertificateState, int]] = {}
    for issuer_id, state, count in rows:
        found.setdefault(issuer_id, {})[CertificateState(state)] = int(count)
    return found
