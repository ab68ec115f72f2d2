"""Which readings of each certificate came, for all workers together. Derived from what came, and not journaled.

A worker takes in what is known when a session opens, and sends what it has seen at most once a second, in one batch.
Two that write of one certificate lose nothing: what is stored is what any of them has seen.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select

from troth.evidence.window import Window, parse_window
from troth.registry import tables
from troth.store.connect import Database
from troth.store.write import write

_WINDOWS: Final = tables.reading_windows.c
_BY_IDS: Final = select(_WINDOWS.certificate_id, _WINDOWS.seen).where(
    _WINDOWS.certificate_id.in_(bindparam("identities", expanding=True))
)


def find_windows(connection: Connection, certificate_ids: Collection[str]) -> dict[str, Window]:
    """Return what came of these certificates: a window for each of which anything did.

    Raises `PeerFault` (malformed) for a row that is none.
    """
    if not certificate_ids:
        return {}
    rows = connection.execute(_BY_IDS, {"identities": sorted(certificate_ids)})
    return {certificate_id: parse_window(seen) for certificate_id, seen in rows}


def merge_windows(db: Database, seen: Mapping[str, bytes], at: datetime) -> dict[str, Window]:
    """Add what one worker has seen, rendered, to what is stored, and return both together.

    Raises `Fault` (unavailable).
    """
    with write(db) as connection:
        # In one order, so that two workers never wait for each other's rows.
        locked = _BY_IDS.order_by(_WINDOWS.certificate_id).with_for_update()
        found = connection.execute(locked, {"identities": sorted(seen)})
        stored = {certificate_id: parse_window(row) for certificate_id, row in found}
        merged = {}
        for certificate_id in sorted(seen):
            window = parse_window(seen[certificate_id])
            if certificate_id in stored:
                window.merge(stored[certificate_id])
            merged[certificate_id] = window
        rows = {
            is_new: [
                {"identity": each, "seen": merged[each].render(), "at": at}
                for each in merged
                if (each not in stored) is is_new
            ]
            for is_new in (True, False)
        }
        table = tables.reading_windows
        if rows[False]:
            same = _WINDOWS.certificate_id == bindparam("identity")
            changed = table.update().where(same).values(seen=bindparam("seen"), changed_at=bindparam("at"))
            connection.execute(changed, rows[False])
        if rows[True]:
            values = [{"certificate_id": r["identity"], "seen": r["seen"], "changed_at": r["at"]} for r in rows[True]]
            connection.execute(table.insert(), values)
        return merged
