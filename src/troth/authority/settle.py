"""From committed intents to committed conclusions: sign each at the door, then conclude or refuse them in one change.

What the authority's process does at its bell, and offline ceremonies and tests do in their own. May be cut off
anywhere: what was intended stays so until a conclusion is committed, and its serial number is given once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeGuard

import structlog
from cryptography import x509

from troth.authority.door import Door, Outcome, Signed
from troth.authority.intents import Intent, IntentState, find_intents, get_intent, list_waiting
from troth.authority.issue import conclude_many, prepare, refuse
from troth.clock import Clock
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.limits import INTENT_AGE_S_MAX, INTENTS_PER_CHANGE_MAX
from troth.registry.certificates import find_certificate
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.requests import Request

AUTHORITY: Final = "system:authority"
"""Who makes the change that concludes an intent."""

LOGGED_ONE_BY_ONE_MAX: Final = 8
"""Certificates of one change that are logged one by one; the journal has each of them anyway."""

log = structlog.get_logger()


_Outcomes = Mapping[str, Outcome]
"""By the intent's id."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What came of looking after the intents that waited."""

    settled: int
    """Intents concluded or refused."""
    more: bool
    """Whether others may have waited than those that were looked at."""
    obstacle: Fault | None
    """Why others still wait; None when none do."""


def settle(db: Database, clock: Clock, door: Door, intent_id: str) -> Intent:
    """Sign and conclude one intent, or refuse it, and return it as it then is. Blocks.

    One that has left PREPARED is returned as it is. Raises `Fault` (unavailable) when the key or the database does not
    answer; the intent then stays as it was.
    """
    with read(db) as connection:
        intent = get_intent(connection, intent_id)
    if intent.state is not IntentState.PREPARED:
        return intent
    progress = _settle(db, clock, door, [intent_id])
    if progress.obstacle is not None:
        raise progress.obstacle
    with read(db) as connection:
        return get_intent(connection, intent_id)


def settle_waiting(db: Database, clock: Clock, door: Door) -> Progress:
    """Settle the oldest intents that wait for this door, and refuse those that have waited too long for any. Blocks.

    At most `INTENTS_PER_CHANGE_MAX` of them, in one change. Raises `Fault` when the database does not answer.
    """
    stale_before = clock.now() - timedelta(seconds=INTENT_AGE_S_MAX)
    with read(db) as connection:
        waiting = list_waiting(connection, door.issuer_ids, stale_before, signer_issuer_ids=door.signer_issuer_ids)
    return _settle(db, clock, door, waiting)


def settle_all(db: Database, clock: Clock, door: Door) -> None:
    """Settle all that waits for this door. Blocks. Raises `Fault` (unavailable) when some of it still waits."""
    while True:
        progress = settle_waiting(db, clock, door)
        if progress.obstacle is not None:
            raise progress.obstacle
        if not progress.more:
            return


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


def _settle(db: Database, clock: Clock, door: Door, intent_ids: Sequence[str]) -> Progress:
    if not intent_ids:
        return Progress(0, more=False, obstacle=None)
    outcomes = dict(zip(intent_ids, door.sign_many(db, intent_ids, clock.now()), strict=True))
    obstacles = [outcome for outcome in outcomes.values() if _may_pass(outcome)]
    final = {intent_id: outcome for intent_id, outcome in outcomes.items() if not _may_pass(outcome)}
    if final:
        _commit(db, clock, final)
    more = len(intent_ids) == INTENTS_PER_CHANGE_MAX
    return Progress(len(final), more=more, obstacle=obstacles[0] if obstacles else None)


def _may_pass(outcome: Outcome) -> TypeGuard[Fault]:
    """Say whether the intent can still be signed, later."""
    return isinstance(outcome, Fault) and outcome.kind is Kind.UNAVAILABLE


def _commit(db: Database, clock: Clock, outcomes: _Outcomes) -> None:
    try:
        _commit_together(db, clock, outcomes)
    except Exception as error:
        if _may_pass(error):
            raise
        if len(outcomes) == 1:
            _commit_together(db, clock, dict.fromkeys(outcomes, error))
            return
        # One of them does not fit what is there by now: each for itself, and that one is refused.
        for intent_id, outcome in outcomes.items():
            _commit(db, clock, {intent_id: outcome})


def _commit_together(db: Database, clock: Clock, outcomes: _Outcomes) -> None:
    signed = [(each.intent, each.certificate) for each in outcomes.values() if isinstance(each, Signed)]
    refused = {intent_id: _reason(each) for intent_id, each in outcomes.items() if isinstance(each, Exception)}
    with change(db, clock, AUTHORITY) as changing:
        issued = conclude_many(changing, signed)
        intents = find_intents(changing.connection, refused) if refused else {}
        told = [(intent, refused[intent.intent_id]) for intent in intents.values()]
        told = [(intent, fault) for intent, fault in told if refuse(changing, intent, fault)]
    if len(issued) > LOGGED_ONE_BY_ONE_MAX:
        log.info("certificates.issued", count=len(issued))
    else:
        for intent in issued:
            log.info("certificate.issued", **_about(intent))
    for intent, fault in told:
        log.warning("certificate.refused", **_about(intent), reason=fault.message, detail=fault.detail)


def _reason(error: Exception) -> Fault:
    """Return why to refuse an intent for good; what broke our own code is not shown to whoever asked."""
    if isinstance(error, Fault):
        return error
    log.error("intent.broke", exc_info=error)
    return Fault(Kind.REJECTED, "internal error", detail=repr(error))


def _about(intent: Intent) -> dict[str, object]:
    serial = f"{intent.serial:x}"
    return {"intent": intent.intent_id, "thing": intent.thing, "profile": intent.profile, "serial": serial}
