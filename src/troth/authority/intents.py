"""What the authority was asked to sign, and what came of it. A committed intent is the ticket to one signature.

Knows no key and decides nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select, update

from troth.authority import tables
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.limits import INTENTS_PER_CHANGE_MAX, REFUSAL_CHARS_MAX

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
        kind, colon, message = (self.refusal or "").partition(": ")
        if not colon:
            raise Bug("the intent has not been refused")
        return Fault(Kind(kind), message, detail=f"intent {self.intent_id}")


def add_intent(change: Change, intent: Intent) -> None:
    """Store a new intent. Raises `Fault` (conflict) when its issuer has used the serial number."""
    values = {name: getattr(intent, name) for name in intent.__slots__ if name != "intent_id"}
    values |= {
        "id": intent.intent_id,
        "serial": f"{intent.serial:x}",
        "san": list(intent.san),
        "proof": dict(intent.proof),
    }
    change.execute(tables.intents.insert().values(values))


def leave_prepared(
    change: Change,
    intent: Intent,
    state: IntentState,
    *,
    certificate_id: str | None = None,
    refusal: Fault | None = None,
) -> bool:
    """Move an intent out of PREPARED; False when it is not there any more, because another process was first."""
    own = _COLUMNS.id == intent.intent_id
    if change.execute(select(_COLUMNS.state).where(own).with_for_update()).scalar_one() != IntentState.PREPARED:
        return False
    words = None if refusal is None else f"{refusal.kind.value}: {refusal.message}"[:REFUSAL_CHARS_MAX]
    change.execute(update(tables.intents).where(own).values(state=state, certificate_id=certificate_id, refusal=words))
    return True


def find_intent(connection: Connection, intent_id: str) -> Intent | None:
    """Return the intent, or None."""
    row = connection.execute(select(tables.intents).where(_COLUMNS.id == intent_id)).one_or_none()
    return None if row is None else _intent(row)


def get_intent(connection: Connection, intent_id: str) -> Intent:
    """Return the intent. Raises `Fault` (not found)."""
    found = find_intent(connection, intent_id)
    if found is None:
        raise Fault(Kind.NOT_FOUND, f"there is no intent {intent_id[:32]!r}")
    return found


def find_prepared(connection: Connection, issuer_id: str, request_digest: str) -> Intent | None:
    """Return the youngest intent that waits for this issuer's signature on this request, or None."""
    row = connection.execute(
        select(tables.intents)
        .where(
            _COLUMNS.request_digest == request_digest,
            _COLUMNS.issuer_id == issuer_id,
            _COLUMNS.state == IntentState.PREPARED,
        )
        .order_by(_COLUMNS.created_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _intent(row)


def list_waiting(
    connection: Connection, issuer_ids: Collection[str], stale_before: datetime, limit: int = INTENTS_PER_CHANGE_MAX
) -> list[str]:
    """Return the ids of the oldest intents that wait for one of these issuers, or for anybody for too long."""
    statement = (
        select(_COLUMNS.id)
        .where(
            _COLUMNS.state == IntentState.PREPARED,
            or_(_COLUMNS.issuer_id.in_(issuer_ids), _COLUMNS.created_at < stale_before),
        )
        .order_by(_COLUMNS.created_at, _COLUMNS.id)
        .limit(limit)
    )
    return [identity for (identity,) in connection.execute(statement)]


def list_prepared(connection: Connection, *, thing: str | None = None, issuer_id: str | None = None) -> list[Intent]:
    """Return all intents that wait for a signature: those for a thing, or those for an issuer to sign."""
    statement = select(tables.intents).where(_COLUMNS.state == IntentState.PREPARED)
    if thing is not None:
        statement = statement.where(_COLUMNS.thing == thing)
    if issuer_id is not None:
        statement = statement.where(_COLUMNS.issuer_id == issuer_id)
    return [_intent(row) for row in connection.execute(statement.order_by(_COLUMNS.created_at, _COLUMNS.id))]


def _intent(row: Row[Any]) -> Intent:
    values = dict(row._mapping)
    values["intent_id"] = values.pop("id")
    values["san"] = tuple(values["san"])
    values["serial"] = int(values["serial"], 16)
    values["state"] = IntentState(values["state"])
    return Intent(**values)
