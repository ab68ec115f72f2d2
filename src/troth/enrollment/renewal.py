"""Renewals from the intent to the first use: until then both certificates are in force, and at the end of it one is.

A renewal goes on until its certificate is used at a door of the gateway, another renewal takes its place, or nobody has
used it for too long. None of that puts a thing's last working certificate out of force. Knows no proof and no HTTP.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update

from troth.authority.intents import Intent, IntentState, find_intents, get_intent
from troth.authority.issue import refuse
from troth.clock import Clock
from troth.enrollment import tables
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.limits import RENEWAL_UNUSED_S_MAX, RENEWALS_PER_HOUR_MAX
from troth.registry.certificates import CertificateRow, CertificateState, find_certificate
from troth.registry.inventory import Search, all_certificates
from troth.registry.issuers import list_issuers
from troth.registry.states import supersede
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.profiles import Purpose
from troth.x509.times import has_ended, is_in_time

RENEWAL_ENDED: Final = "renewal.ended"
RENEWAL_POSTPONED: Final = "renewal.postponed"
UNUSED_FOR: Final = timedelta(seconds=RENEWAL_UNUSED_S_MAX)
SWEPT_PER_CHANGE_MAX: Final = 100

_HOUR: Final = timedelta(hours=1)
_COLUMNS: Final = tables.renewals.c


class Outcome(StrEnum):
    """How a renewal has ended."""

    USED = "USED"
    """Its certificate has been used; the one before is superseded."""
    REPLACED = "REPLACED"
    """The thing has asked again, with another request, before it used this one."""
    UNUSED = "UNUSED"
    """Nobody has used it in time; the one before goes on."""
    VOID = "VOID"
    """There is no certificate of it to be used: it was refused, or is over."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewal that goes on."""

    intent_id: str
    thing: str
    predecessor_id: str
    """The certificate that was shown."""
    created_at: datetime


def begin_renewal(change: Change, row: CertificateRow, thing: str, intent_id: str) -> None:
    """Take note of a renewal of the certificate `row`, in the change that records its intent.

    Who renews with a certificate has used it. What was asked for with it before, and never used, is let go.
    """
    settle_use(change, row)
    for renewal, intent in _open(change.connection, thing):
        if renewal.predecessor_id == row.certificate_id:
            _let_go(change, renewal, intent, Outcome.REPLACED, by=row.certificate_id)
    change.execute(
        tables.renewals.insert().values(
            intent_id=intent_id,
            thing=thing,
            predecessor_id=row.certificate_id,
            created_at=change.at,
            due_at=change.at + UNUSED_FOR,
        )
    )


def require_patience(connection: Connection, thing: str, at: datetime) -> None:
    """Return if a thing may renew now. Raises `Fault` (rate limited)."""
    recent = select(func.count(), func.min(_COLUMNS.created_at)).where(
        _COLUMNS.thing == thing, _COLUMNS.created_at > at - _HOUR
    )
    count, first = connection.execute(recent).one()
    if count >= RENEWALS_PER_HOUR_MAX:
        wait_s = (first + _HOUR - at).total_seconds()
        message = f"the thing has renewed {count} times within an hour"
        raise Fault(Kind.RATE_LIMITED, message, retry_after=max(1.0, wait_s))


def note_first_use(db: Database, clock: Clock, certificate_id: str) -> bool:
    """Settle the renewal whose certificate is used for the first time now; say whether there was one. Blocks.

    Raises `Fault` (unavailable).
    """
    with read(db) as connection:
        row = find_certificate(connection, certificate_id)
        if row is None or row.thing is None or _find_open(connection, row) is None:
            return False
    with change(db, clock, f"device:{row.thing}") as changing:
        return settle_use(changing, row)


def settle_use(change: Change, row: CertificateRow) -> bool:
    """End the renewal that brought this certificate, and supersede the one before; False when it has been ended."""
    found = _find_open(change.connection, row)
    if found is None or not _end(change, found[0], Outcome.USED, row.certificate_id):
        return False
    renewal, _ = found
    for other, intent in _open(change.connection, renewal.thing):
        if other.predecessor_id == renewal.predecessor_id:
            _let_go(change, other, intent, Outcome.REPLACED, by=row.certificate_id)
    if find_certificate(change.connection, renewal.predecessor_id) is not None:
        supersede(change, renewal.predecessor_id, by=row.certificate_id)
    return True


def sweep_unused(change: Change) -> bool:
    """End renewals whose certificates were not used in time, at most `SWEPT_PER_CHANGE_MAX`; say whether more are due.

    A certificate that is the only one which lets its thing in stays, and is looked at again when it is over.
    """
    due = select(tables.renewals).where(_COLUMNS.due_at <= change.at).order_by(_COLUMNS.due_at)
    rows = change.execute(due.limit(SWEPT_PER_CHANGE_MAX).with_for_update()).all()
    for renewal, intent in _with_intents(change.connection, rows):
        row = _certificate(change.connection, intent)
        if row is None or row.state is not CertificateState.ACTIVE or has_ended(row.not_after, change.at):
            _let_go(change, renewal, intent, Outcome.VOID, by=renewal.predecessor_id)
            continue
        other = _another_working(change, row)
        if other is None:
            # One second behind its end, so that it is then over.
            later = row.not_after + timedelta(seconds=1)
            change.execute(update(tables.renewals).where(_COLUMNS.intent_id == renewal.intent_id).values(due_at=later))
            change.record(RENEWAL_POSTPONED, row.certificate_id, thing=renewal.thing, until=later.isoformat())
        else:
            _let_go(change, renewal, intent, Outcome.UNUSED, by=other.certificate_id)
    return len(rows) == SWEPT_PER_CHANGE_MAX


def _another_working(change: Change, row: CertificateRow) -> CertificateRow | None:
    """Return another certificate that lets the thing in now, if there is one."""
    held = all_certificates(change.connection, Search(thing=row.thing, state=CertificateState.ACTIVE))
    doors = {issuer.issuer_id for issuer in list_issuers(change.connection) if issuer.purpose is Purpose.DEVICES}
    # One for peers lets it in nowhere here.
    others = (each for each in held if each.certificate_id != row.certificate_id and each.issuer_id in doors)
    return next((each for each in others if is_in_time(each.not_before, each.not_after, change.at)), None)


def _let_go(change: Change, renewal: Renewal, intent: Intent | None, outcome: Outcome, *, by: str) -> None:
    fault = Fault(Kind.REJECTED, "another request has taken the place of this one")
    if intent is not None and intent.state is IntentState.PREPARED and not refuse(change, intent, fault):
        # The authority was first: there is a certificate by now.
        intent = get_intent(change.connection, intent.intent_id)
    row = _certificate(change.connection, intent)
    ended = _end(change, renewal, outcome, row.certificate_id if row else None)
    if ended and row is not None and outcome is not Outcome.VOID:
        supersede(change, row.certificate_id, by=by)


def _end(change: Change, renewal: Renewal, outcome: Outcome, certificate_id: str | None) -> bool:
    """End a renewal; False when another change was first."""
    own = (_COLUMNS.intent_id == renewal.intent_id, _COLUMNS.due_at.is_not(None))
    done = change.execute(update(tables.renewals).where(*own).values(due_at=None, outcome=outcome.value))
    if not done.rowcount:
        return False
    change.record(
        RENEWAL_ENDED,
        renewal.intent_id,
        intent=renewal.intent_id,
        outcome=outcome.value,
        renewed=certificate_id,
        predecessor=renewal.predecessor_id,
    )
    return True


def _find_open(connection: Connection, row: CertificateRow) -> tuple[Renewal, Intent] | None:
    """Return the renewal that goes on and has brought this certificate."""
    for renewal, intent in _open(connection, row.thing or ""):
        if intent is not None and intent.certificate_id == row.certificate_id:
            return renewal, intent
    return None


def _open(connection: Connection, thing: str) -> Sequence[tuple[Renewal, Intent | None]]:
    going_on = select(tables.renewals).where(_COLUMNS.thing == thing, _COLUMNS.due_at.is_not(None))
    return _with_intents(connection, connection.execute(going_on.order_by(_COLUMNS.created_at)).all())


def _with_intents(connection: Connection, rows: Iterable[Row[Any]]) -> list[tuple[Renewal, Intent | None]]:
    renewals = [Renewal(row.intent_id, row.thing, row.predecessor_id, row.created_at) for row in rows]
    intents = find_intents(connection, [renewal.intent_id for renewal in renewals]) if renewals else {}
    return [(renewal, intents.get(renewal.intent_id)) for renewal in renewals]


def _certificate(connection: Connection, intent: Intent | None) -> CertificateRow | None:
    return find_certificate(connection, intent.certificate_id or "") if intent is not None else None
