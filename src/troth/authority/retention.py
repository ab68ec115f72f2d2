"""Let go of what is over for long: certificates after their expiry with the intents they came from, refused intents."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, tuple_

from troth.authority import tables
from troth.authority.intents import IntentState
from troth.journal.change import Change
from troth.limits import PRUNED_ROWS_PER_CHANGE_MAX
from troth.registry.retention import prune_certificates

INTENTS_PRUNED: Final = "intents.pruned"

_COLUMNS: Final = tables.intents.c


def prune(change: Change, before: datetime) -> bool:
    """Delete certificates that expired before the time given, and intents refused before it; say whether more remain.

    At most `PRUNED_ROWS_PER_CHANGE_MAX` of each.
    """
    certificates = prune_certificates(change, before)
    if certificates:
        change.execute(delete(tables.intents).where(tuple_(_COLUMNS.issuer_id, _COLUMNS.serial).in_(certificates)))
    refused = _refused(change, before)
    if refused:
        change.execute(delete(tables.intents).where(_COLUMNS.id.in_(refused)))
        change.record(INTENTS_PRUNED, refused[0], intents=refused)
    return max(len(certificates), len(refused)) == PRUNED_ROWS_PER_CHANGE_MAX


def _refused(change: Change, before: datetime) -> list[str]:
    old = select(_COLUMNS.id).where(_COLUMNS.state == IntentState.REFUSED, _COLUMNS.created_at < before)
    return list(change.execute(old.order_by(_COLUMNS.created_at).limit(PRUNED_ROWS_PER_CHANGE_MAX)).scalars())
