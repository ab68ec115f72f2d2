"""Let go of what is over for long: tokens that expired, spent or not, and renewals that have ended.

The journal keeps what became of them.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select

from troth.enrollment import tables
from troth.journal.change import Change
from troth.limits import PRUNED_ROWS_PER_CHANGE_MAX

COUNTS_PRUNED: Final = "enrollment-counts.pruned"
REQUESTS_PRUNED: Final = "requests.pruned"
RENEWALS_PRUNED: Final = "renewals.pruned"
TOKENS_PRUNED: Final = "tokens.pruned"

_COLUMNS: Final = tables.tokens.c


def prune(change: Change, before: datetime) -> bool:
    """Delete tokens and requests that expired before the time given, and their like; say whether more remain.

    At most `PRUNED_ROWS_PER_CHANGE_MAX` of each.
    """
    requests = _prune_requests(change, before)
    counts = tables.enrollment_counts.c
    if change.execute(select(counts.until).where(counts.until < before).limit(1)).one_or_none() is not None:
        over = change.execute(delete(tables.enrollment_counts).where(counts.until < before)).rowcount
        change.record(COUNTS_PRUNED, "enrollment-counts", count=over)
    old = select(_COLUMNS.id).where(_COLUMNS.expires_at < before).order_by(_COLUMNS.expires_at)
    tokens = list(change.execute(old.limit(PRUNED_ROWS_PER_CHANGE_MAX)).scalars())
    if tokens:
        change.execute(delete(tables.tokens).where(_COLUMNS.id.in_(tokens)))
        change.record(TOKENS_PRUNED, tokens[0], tokens=tokens)
    return max(len(tokens), requests) == PRUNED_ROWS_PER_CHANGE_MAX


def _prune_requests(change: Change, before: datetime) -> int:
    waiting = tables.requests.c
    old = select(waiting.id).where(waiting.expires_at < before).order_by(waiting.expires_at)
    requests = list(change.execute(old.limit(PRUNED_ROWS_PER_CHANGE_MAX)).scalars())
    if requests:
        change.execute(delete(tables.requests).where(waiting.id.in_(requests)))
        change.record(REQUESTS_PRUNED, requests[0], requests=requests)
    return len(requests)


def prune_renewals(change: Change, before: datetime) -> bool:
    """Delete renewals that began before the time given and have ended; say whether more remain.

    At most `PRUNED_ROWS_PER_CHANGE_MAX`.
    """
    renewals = tables.renewals.c
    old = select(renewals.intent_id).where(renewals.created_at < before, renewals.due_at.is_(None))
    ended = list(change.execute(old.order_by(renewals.created_at).limit(PRUNED_ROWS_PER_CHANGE_MAX)).scalars())
    if ended:
        change.execute(delete(tables.renewals).where(renewals.intent_id.in_(ended)))
        change.record(RENEWALS_PRUNED, ended[0], intents=ended)
    return len(ended) == PRUNED_ROWS_PER_CHANGE_MAX
