"""What the authority was asked to sign, and what came of it. A committed intent is the ticket to one signature.

Knows no key and decides nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from troth.authority import tables
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.limits import INTENTS_PER_CHANGE_MAX, REFUSAL_CHARS_MAX
from troth.store.query import Query

OCSP_SIGNER_PROFILE: Final = "ocsp-signer"

_COLUMNS: Final = tables.intents.c


class IntentState(StrEnum):
    """How far an intent has come. It leaves PREPARED once."""

    PREPARED = "PREPARED"
    ISSUED = "ISSUED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Intent:
    """A certificate that is to be signed, as it was asked for, checked and recorded."""

    intent_id: str
    issuer_id: str
    """Who is to sign: an issuer's id; for a root, which has none before it has signed itself, its key's digest."""
    profile: str
    thing: str | None
    request: bytes | None
    """The DER of the CSR; None where the key is one of our own CAs'."""
    request_digest: str
    """Lower-case hex SHA-256 of `request`, or of `public_key` where there is none."""
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    subject: bytes
    """DER Name."""
    san: tuple[str, ...]
    serial: int
    not_before: datetime
    not_after: datetime
    method: str
    """How the asker proved who it is."""
    proof: Mapping[str, Any]
    """The evidence for it: JSON values, nothing secret."""
    actor: str
    state: IntentState
    certificate_id: str | None
    """Once it is ISSUED."""
    refusal: str | None
    """Once it is REFUSED: ``kind: message``."""
    created_at: datetime

    def refused(self) -> Fault:
        """Return the fault that it was refused with. Raises `Bug` for an intent that was not."""
        return _refused(self.intent_id, self.refusal)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How far an intent has come, and no more of it."""

    intent_id: str
    state: IntentState
    certificate_id: str | None
    """Once it is ISSUED."""
    refusal: str | None
    """Once it is REFUSED: ``kind: message``."""

    def refused(self) -> Fault:
        """Return the fault that it was refused with. Raises `Bug` for an intent that was not."""
        return _refused(self.intent_id, self.refusal)


def _refused(intent_id: str, refusal: str | None) -> Fault:
    kind, colon, message = (refusal or "").partition(": ")
    if not colon:
        raise Bug("the intent has not been refused")
    return Fault(Kind(kind), message, detail=f"intent {intent_id}")


_FIELDS: Final = [each.name for each in fields(Intent)]
"""In the order of the table's columns."""
_SAN: Final = _FIELDS.index("san")
_SERIAL: Final = _FIELDS.index("serial")
_STATE: Final = _FIELDS.index("state")
_columns: Final = attrgetter(*_FIELDS)


def add_intents(change: Change, intents: Sequence[Intent]) -> None:
    """Store new intents. Raises `Fault` (conflict) when an issuer has used a serial number."""
    change.insert(tables.intents, [_row(intent) for intent in intents])


def lock_prepared(change: Change, intent_ids: Collection[str]) -> set[str]:
    """Return those that are still PREPARED; no other change moves them until this one is committed."""
    return {identity for (identity,) in _LOCK.all(change.connection, {"ids": list(intent_ids)})}


def mark_issued(change: Change, certificate_ids: Mapping[str, str]) -> None:
    """Move intents, locked in the same change, to ISSUED: intent id -> certificate id."""
    change.execute(
        _CLOSE,
        [_closed(intent_id, IntentState.ISSUED, issued, None) for intent_id, issued in certificate_ids.items()],
    )


def mark_refused(change: Change, intent_id: str, refusal: Fault) -> None:
    """Move an intent, locked in the same change, to REFUSED, with the reason."""
    words = f"{refusal.kind.value}: {refusal.message}"[:REFUSAL_CHARS_MAX]
    change.execute(_CLOSE, [_closed(intent_id, IntentState.REFUSED, None, words)])


def find_intent(connection: Connection, intent_id: str) -> Intent | None:
    """Return the intent, or None."""
    return find_intents(connection, (intent_id,)).get(intent_id)


def find_intents(connection: Connection, intent_ids: Collection[str]) -> dict[str, Intent]:
    """Return those of these intents that exist, by their ids."""
    found = (_intent(row) for row in _BY_ID.all(connection, {"ids": list(intent_ids)}))
    return {intent.intent_id: intent for intent in found}


def find_conclusions(connection: Connection, intent_ids: Collection[str]) -> dict[str, Conclusion]:
    """Return how far each of these intents has come, by its id."""
    rows = _CONCLUSIONS.all(connection, {"ids": list(intent_ids)})
    return {
        intent_id: Conclusion(intent_id, IntentState(state), issued, refusal)
        for intent_id, state, issued, refusal in rows
    }


def get_intent(connection: Connection, intent_id: str) -> Intent:
    """Return the intent. Raises `Fault` (not found)."""
    found = find_intent(connection, intent_id)
    if found is None:
        raise unknown_intent(intent_id)
    return found


def unknown_intent(intent_id: str) -> Fault:
    """Return the fault for an intent that does not exist."""
    return Fault(Kind.NOT_FOUND, f"there is no intent {intent_id[:32]!r}")


def find_prepared(connection: Connection, issuer_id: str, request_digest: str) -> Intent | None:
    """Return the youngest intent that waits for this issuer's signature on this request, or None."""
    row = _BY_REQUEST.one_or_none(connection, {"issuer_id": issuer_id, "request_digest": request_digest})
    return None if row is None else _intent(row)


def any_prepared(connection: Connection, intent_ids: Collection[str]) -> bool:
    """Say whether any of these intents still waits for a signature."""
    return bool(_PREPARED.all(connection, {"ids": list(intent_ids)}))


def find_requested(connection: Connection, request_digests: Collection[str]) -> list[Intent]:
    """Return all intents that these requests have led to, oldest first."""
    return [_intent(row) for row in _REQUESTED.all(connection, {"digests": list(request_digests)})]


def list_waiting(
    connection: Connection,
    issuer_ids: Collection[str],
    stale_before: datetime,
    limit: int = INTENTS_PER_CHANGE_MAX,
    *,
    signer_issuer_ids: Collection[str] = (),
) -> list[str]:
    """Return the ids of the oldest intents that wait for one of these issuers, or for anybody for too long.

    Of `signer_issuer_ids` only those that are to become OCSP signers.
    """
    parameters = {
        "issuer_ids": list(issuer_ids),
        "signer_issuer_ids": list(signer_issuer_ids),
        "stale_before": stale_before,
        "limit": limit,
    }
    return [identity for (identity,) in _WAITING.all(connection, parameters)]


def list_prepared(connection: Connection, *, thing: str | None = None, issuer_id: str | None = None) -> list[Intent]:
    """Return all intents that wait for a signature: those for a thing, or those for an issuer to sign."""
    statement = select(tables.intents).where(_COLUMNS.state == IntentState.PREPARED)
    if thing is not None:
        statement = statement.where(_COLUMNS.thing == thing)
    if issuer_id is not None:
        statement = statement.where(_COLUMNS.issuer_id == issuer_id)
    return [_intent(row) for row in connection.execute(statement.order_by(_COLUMNS.created_at, _COLUMNS.id))]


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_BY_ID: Final = Query(select(tables.intents).where(_COLUMNS.id.in_(bindparam("ids", expanding=True))))
_CONCLUSIONS: Final = Query(
    select(_COLUMNS.id, _COLUMNS.state, _COLUMNS.certificate_id, _COLUMNS.refusal).where(
        _COLUMNS.id.in_(bindparam("ids", expanding=True))
    )
)
_LOCK: Final = Query(
    select(_COLUMNS.id)
    .where(_COLUMNS.id.in_(bindparam("ids", expanding=True)), _COLUMNS.state == IntentState.PREPARED)
    # In one order, so that two changes never wait for each other.
    .order_by(_COLUMNS.id)
    .with_for_update()
)
_CLOSE: Final = update(tables.intents).where(_COLUMNS.id == bindparam("own"))
_BY_REQUEST: Final = Query(
    select(tables.intents)
    .where(
        _COLUMNS.request_digest == bindparam("request_digest"),
        _COLUMNS.issuer_id == bindparam("issuer_id"),
        _COLUMNS.state == IntentState.PREPARED,
    )
    .order_by(_COLUMNS.created_at.desc())
    .limit(1)
)
_PREPARED: Final = Query(
    select(_COLUMNS.id)
    .where(_COLUMNS.id.in_(bindparam("ids", expanding=True)), _COLUMNS.state == IntentState.PREPARED)
    .limit(1)
)
_REQUESTED: Final = Query(
    select(tables.intents)
    .where(_COLUMNS.request_digest.in_(bindparam("digests", expanding=True)))
    .order_by(_COLUMNS.created_at)
)
_WAITING: Final = Query(
    select(_COLUMNS.id)
    .where(
        _COLUMNS.state == IntentState.PREPARED,
        or_(
            _COLUMNS.issuer_id.in_(bindparam("issuer_ids", expanding=True)),
            and_(
                _COLUMNS.issuer_id.in_(bindparam("signer_issuer_ids", expanding=True)),
                _COLUMNS.profile == OCSP_SIGNER_PROFILE,
            ),
            _COLUMNS.created_at < bindparam("stale_before"),
        ),
    )
    .order_by(_COLUMNS.created_at, _COLUMNS.id)
    .limit(bindparam("limit"))
)


def _row(intent: Intent) -> list[Any]:
    values = list(_columns(intent))
    values[_SERIAL] = f"{intent.serial:x}"
    return values


def _closed(intent_id: str, state: IntentState, certificate_id: str | None, refusal: str | None) -> dict[str, Any]:
    return {"own": intent_id, "state": state, "certificate_id": certificate_id, "refusal": refusal}


def _intent(row: Row[Any]) -> Intent:
    values = list(row)
    values[_SAN] = tuple(values[_SAN])
    values[_SERIAL] = int(values[_SERIAL], 16)
    values[_STATE] = IntentState(values[_STATE])
    return Intent(*values)
