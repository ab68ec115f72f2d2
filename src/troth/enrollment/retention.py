"""Let go of what is over for long: tokens that expired, spent or not; the journal keeps what became of them."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select

from troth.enrollment import tables
from troth.journal.change import Change
from troth.limits import PRUNED_ROWS_PER_CHANGE_MAX

TOKENS_PRUNED: Final = "tokens.pruned"  # noqa: S105 - the kind of an entry

_COLUMNS: Final = tables.tokens.c


def prune(change: Change, before: datetime) -> bool:
    """Delete tokens that expired before the time given; say whether more remain.

    At most `PRUNED_ROWS_PER_CHANGE_MAX`.
    """
    old = select(_COLUMNS.id).where(_COLUMNS.expires_at < before).order_by(_COLUMNS.expires_at)
    tokens = list(change.execute(old.limit(PRUNED_ROWS_PER_CHANGE_MAX)).scalars())
    if tokens:
        change.execute(delete(tables.tokens).where(_COLUMNS.id.in_(tokens)))
        change.record(TOKENS_PRUNED, tokens[0], tokens=tokens)
    return len(tokens) == PRUNED_ROWS_PER_CHANGE_MAX
