"""Whether the home can do its work: each part that is needed is asked, now. Blocks; knows no HTTP."""

from pathlib import Path
from typing import Final

from troth.authority.bell import answers
from troth.errors import Fault, Kind
from troth.store import revision
from troth.store.connect import Database

GOOD: Final = frozenset({"ok", "elsewhere"})
"""The words for a part that keeps nobody waiting."""


def look(db: Database, bell: Path | None) -> dict[str, str]:
    """Return each part with a word for how it is.

    ``database`` and ``schema`` (``outdated`` until `troth init` has upgraded it), and ``authority``: ``silent`` when
    nobody listens at `bell`, ``elsewhere`` when `bell` is None. Raises `Fault` (unavailable) when the database does not
    answer.
    """
    try:
        revision.check(db)
        schema = "ok"
    except Fault as fault:
        if fault.kind is not Kind.MISCONFIGURED:
            raise
        schema = "outdated"
    authority = "elsewhere" if bell is None else "ok" if answers(bell) else "silent"
    return {"database": "ok", "schema": schema, "authority": authority}
