"""From committed intents to committed conclusions: sign each at the door, then conclude or refuse them in one change.

What the authority's process does at its bell, and offline ceremonies and tests do in their own. May be cut off
anywhere: what was intended stays so until a conclusion is committed, and its serial number is given once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from cryptography import x509

from troth.authority.door import Door, Signed
from troth.authority.intents import Intent, IntentState, get_intent, list_waiting
from troth.authority.issue import conclude, prepare, refuse
from troth.clock import Clock
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change, change
from troth.limits import INTENT_AGE_S_MAX
from troth.registry.certificates import find_certificate
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.requests import Request

AUTHORITY: Final = "system:authority"
"""Who makes the change that concludes an intent."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Refused:
    intent: Intent
    fault: Fault


_Outcome = Signed | _Refused


@dataclass(frozen=True, slots=True)
class Progress:
    """What came of looking after the intents that waited."""

    settled: int
    """Intents concluded or refused."""
    obstacle: Fault | None
    """Why others still wait; None when none do."""


def settle(db: Database, clock: Clock, door: Door, intent_id: str) -> Intent:
    """Sign and conclude one intent, or refuse it, and return it as it then is. Blocks.

    One that has left PREPARED is returned as it is. Raises `Fault` (unavailable) when the key or the database does not
    answer; the intent then stays as it was.
    """
    with read(db) as connection:
        intent = get_intent(connection, intent_id)
    if intent.state is IntentState.PREPARED:
        _commit(db, clock, [_attempt(db, clock, door, intent)])
        with read(db) as connection:
            intent = get_intent(connection, intent_id)
    return intent


def settle_waiting(db: Database, clock: Clock, door: Door) -> Progress:
    """Settle the oldest intents that wait for this door, and refuse those that have waited too long for any. Blocks.

    At most `INTENTS_PER_CHANGE_MAX` of them, in one change. Raises `Fault` when the database does not answer.
    """
    stale_before = clock.now() - timedelta(seconds=INTENT_AGE_S_MAX)
    with read(db) as connection:
        intents = [get_intent(connection, each) for each in list_waiting(connection, door.issuer_ids, stale_before)]
    outcomes: list[_Outcome] = []
    obstacle: Fault | None = None
    for intent in intents:
        try:
            outcomes.append(_attempt(db, clock, door, intent))
        except Fault as fault:
            obstacle = fault
    if outcomes:
        _commit(db, clock, outcomes)
    return Progress(len(outcomes), obstacle)


def issue(
    db: Database,
    clock: Clock,
    door: Door,
    actor: str,
    *,
    profile: str,
    request: Request,
    thing: str | None = None,
    name: str | None = None,
    alternative_names: Sequence[str] = (),
    method: str,
    proof: Mapping[str, object],
    public_url: str,
    issuer: Issuer | None = None,
) -> x509.Certificate:
    """Prepare and settle in one go, and return the certificate: for ceremonies, where keys and database are at hand.

    Raises `Fault` as `prepare` and `Door.sign` do.
    """
    with change(db, clock, actor) as changing:
        intent = prepare(
            changing,
            profile=profile,
            request=request,
            thing=thing,
            name=name,
            alternative_names=alternative_names,
            method=method,
            proof=proof,
            public_url=public_url,
            issuer=issuer,
        )
    settled = settle(db, clock, door, intent.intent_id)
    if settled.state is IntentState.REFUSED:
        raise settled.refused()
    with read(db) as connection:
        row = find_certificate(connection, settled.certificate_id or "")
    if row is None:
        raise Bug("an issued certificate is not registered")
    return x509.load_der_x509_certificate(row.der)


def _attempt(db: Database, clock: Clock, door: Door, intent: Intent) -> _Outcome:
    """Return what is to be committed for `intent`. Raises `Fault` (unavailable) when that cannot be told now."""
    try:
        return door.sign(db, intent.intent_id, clock.now())
    except Exception as error:
        return _Refused(intent, _final(error, intent))


def _commit(db: Database, clock: Clock, outcomes: Sequence[_Outcome]) -> None:
    try:
        _commit_together(db, clock, outcomes)
    except Exception as error:
        if len(outcomes) == 1:
            intent = outcomes[0].intent
            _commit_together(db, clock, [_Refused(intent, _final(error, intent))])
            return
        if isinstance(error, Fault) and error.kind is Kind.UNAVAILABLE:
            raise
        # One of them does not fit what is there by now: each for itself, and that one is refused.
        for outcome in outcomes:
            _commit(db, clock, [outcome])


def _commit_together(db: Database, clock: Clock, outcomes: Sequence[_Outcome]) -> None:
    with change(db, clock, AUTHORITY) as changing:
        done = [outcome for outcome in outcomes if _enter(changing, outcome)]
    for outcome in done:
        _tell(outcome)


def _final(error: Exception, intent: Intent) -> Fault:
    """Return the reason to refuse `intent` for good after `error`. Raises it when it may pass."""
    if not isinstance(error, Fault):
        # One intent that breaks our own code must not keep the others waiting.
        log.error("intent.broke", intent=intent.intent_id, exc_info=error)
        return Fault(Kind.REJECTED, "internal error", detail=repr(error))
    if error.kind is Kind.UNAVAILABLE:
        raise error
    return error


def _enter(changing: Change, outcome: _Outcome) -> bool:
    match outcome:
        case Signed(intent, certificate):
            return conclude(changing, intent, certificate)
        case _Refused(intent, fault):
            return refuse(changing, intent, fault)


def _tell(outcome: _Outcome) -> None:
    intent = outcome.intent
    serial = f"{intent.serial:x}"
    about = {"intent": intent.intent_id, "thing": intent.thing, "profile": intent.profile, "serial": serial}
    match outcome:
        case Signed():
            log.info("certificate.issued", **about)
        case _Refused(fault=fault):
            log.warning("certificate.refused", **about, reason=fault.message, detail=fault.detail)
