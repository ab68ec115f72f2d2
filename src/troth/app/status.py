"""What `troth status` tells: what the supervisor last said of its processes, and counts from the database."""

import json
from datetime import datetime

from sqlalchemy import Connection

from troth.app.home import Home, is_running
from troth.app.settings import read_settings
from troth.authority.status.attention import list_concerns
from troth.errors import Fault
from troth.journal.checkpoints import examine, find_newest, read_witness
from troth.journal.tail import head
from troth.keys.files import read_bounded
from troth.registry.census import count_certificates, count_things
from troth.registry.sessions import count_sessions
from troth.store.connect import Database
from troth.store.read import read

STATUS_BYTES_MAX = 1024 * 1024


def describe(home: Home, db: Database, now: datetime) -> dict[str, object]:
    """Return endpoints, processes and counts of the home as they are now, and what its roots' CRLs want."""
    running = is_running(home)
    said = _said(home) if running else {}
    with read(db) as connection:
        counts = _counts(connection, now)
        journal = _journal(home, connection)
        concerns = list_concerns(connection, now)
    return {
        "site": read_settings(home.settings_file, {}).site.name,
        "home": str(home.path),
        "running": running,
        "listen": said.get("listen", {}),
        "processes": said.get("processes", []),
        "counts": counts,
        "journal": journal,
        "crls": concerns,
    }


def _said(home: Home) -> dict[str, object]:
    try:
        said: dict[str, object] = json.loads(read_bounded(home.status_file, STATUS_BYTES_MAX))
    except (Fault, ValueError):
        return {}  # it has just started, and has said nothing yet
    return said


def _journal(home: Home, connection: Connection) -> dict[str, object]:
    """Return how much of the journal is signed, and what keeps it from being signed further: a quick look, no audit."""
    signed, problem = 0, None
    try:
        newest, witness = find_newest(connection), read_witness(home.checkpoint)
        signed = 0 if newest is None else newest.checkpoint.size
        examine(connection, [each.checkpoint for each in (newest, witness) if each is not None])
        if newest is None:
            problem = "there is no checkpoint"
    except Fault as fault:
        problem = fault.message
    return {"entries": head(connection), "signed": signed, "problem": problem}


def _counts(connection: Connection, now: datetime) -> dict[str, int]:
    return {
        "things": count_things(connection),
        "certificates": count_certificates(connection),
        "sessions": count_sessions(connection, now),
        "journal_entries": head(connection),
    }
