"""Requests that wait for a person: filed when all else is proven, decided once, found again by the same request.

Knows no protocol. A request that is not decided, or not fetched, in its time is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update

from troth.authority.intents import IntentState, find_intent
from troth.enrollment import tables
from troth.enrollment.proofs.claim import Approval, Proof
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.keys.randomness import random_id
from troth.limits import LIST_ROWS_MAX, REQUESTS_WAITING_MAX, REQUESTS_WAITING_PER_ADDRESS_MAX
from troth.points import Point, reached
from troth.registry.keys_seen import key_digest
from troth.x509.requests import Request

REQUEST_FILED: Final = "request.filed"
REQUEST_APPROVED: Final = "request.approved"
REQUEST_DENIED: Final = "request.denied"
REQUEST_FETCHED: Final = "request.fetched"

_ID_CHARS: Final = 32
_PREFIX_CHARS_MIN: Final = 4
_LIST: Final = "troth request list shows those that wait"

_COLUMNS: Final = tables.requests.c


class RequestState(StrEnum):
    """How far a request has come."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    FETCHED = "FETCHED"
    """Approved, and led to an intent."""
    EXPIRED = "EXPIRED"
    """Nobody decided, or nobody came back, in time."""


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request and what became of it."""

    request_id: str
    enrollment: str
    thing: str
    request_digest: str
    request: bytes
    """DER."""
    key_digest: str
    """SHA-256 of the key's SubjectPublicKeyInfo: what the device's owner can read aloud."""
    evidence: Mapping[str, Any]
    """What was proven beside."""
    address: str
    """Where it came from."""
    state: RequestState
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    intent_id: str | None

    def state_at(self, at: datetime) -> RequestState:
        """Return its state at the time `at`. Its last moment is the one before `expires_at`."""
        is_open = self.state in {RequestState.WAITING, RequestState.APPROVED}
        return RequestState.EXPIRED if is_open and at >= self.expires_at else self.state


def file_request(change: Change, proof: Proof, approval: Approval, request: Request) -> str:
    """Put a request before a person and return its id; one that expired is put there anew.

    Raises `Fault`: conflict when it was decided since the proof was looked at; unavailable when `REQUESTS_WAITING_MAX`
    wait already, or `REQUESTS_WAITING_PER_ADDRESS_MAX` of one address.
    """
    waiting = (_COLUMNS.state == RequestState.WAITING, _COLUMNS.expires_at > change.at)
    own = func.count().filter(_COLUMNS.address == approval.address)
    counted: Sequence[Any] = change.execute(select(func.count(), own).where(*waiting)).one()
    total, from_here = counted
    if total >= REQUESTS_WAITING_MAX or from_here >= REQUESTS_WAITING_PER_ADDRESS_MAX:
        detail = f"{total} requests wait for a person, {from_here} of them from {approval.address or 'nowhere'}"
        raise Fault(Kind.UNAVAILABLE, "too many requests wait", detail=detail, retry_after=approval.retry_after)
    old = find_request(change.connection, approval.enrollment, proof.thing, request.digest, lock=True)
    if old is not None and not is_over(change.connection, old, change.at):
        if old.state is RequestState.WAITING:
            return old.request_id
        # Decided since the proof was looked at: what was decided is not undone.
        raise Fault(Kind.CONFLICT, f"request {old.request_id} has been decided meanwhile")
    request_id = random_id() if old is None else old.request_id
    values = {
        "evidence": dict(proof.evidence),
        "address": approval.address,
        "state": RequestState.WAITING,
        "created_at": change.at,
        "expires_at": change.at + approval.lifetime,
        "decided_at": None,
        "decided_by": None,
        "intent_id": None,
    }
    if old is None:
        change.execute(
            tables.requests.insert().values(
                id=request_id,
                enrollment=approval.enrollment,
                thing=proof.thing,
                request_digest=request.digest,
                request=request.der,
                key_digest=key_digest(request.public_key_info),
                **values,
            )
        )
    else:
        change.execute(update(tables.requests).where(_COLUMNS.id == request_id).values(**values))
    change.record(
        REQUEST_FILED,
        request_id,
        request=request_id,
        enrollment=approval.enrollment,
        thing=proof.thing,
        request_digest=request.digest,
        method=proof.method,
        proof=dict(proof.evidence),
        address=approval.address,
    )
    reached(Point.FILED)
    return request_id


def find_request(
    connection: Connection, enrollment: str, thing: str, digest: str, *, lock: bool = False
) -> WaitingRequest | None:
    """Return what was filed for this very request; with `lock` (in a change) nobody else touches it meanwhile."""
    own = (_COLUMNS.enrollment == enrollment, _COLUMNS.thing == thing, _COLUMNS.request_digest == digest)
    statement = select(tables.requests).where(*own)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _request(row)


def is_over(connection: Connection, found: WaitingRequest, at: datetime) -> bool:
    """Say whether a request may be put before a person anew: it expired, or what it led to was refused."""
    if found.state_at(at) is not RequestState.FETCHED:
        return found.state_at(at) is RequestState.EXPIRED
    intent = find_intent(connection, found.intent_id or "")
    return intent is None or intent.state is IntentState.REFUSED


def get_request(connection: Connection, prefix: str, *, lock: bool = False) -> WaitingRequest:
    """Return the one request whose id begins with `prefix`, of `_PREFIX_CHARS_MIN` hex digits or more.

    Raises `Fault`: malformed; not found; conflict when several begin so.
    """
    if not _PREFIX_CHARS_MIN <= len(prefix) <= _ID_CHARS or not set(prefix) <= set("0123456789abcdef"):
        raise Fault(Kind.MALFORMED, f"{prefix[:_ID_CHARS]!r} is not the beginning of a request's id", hint=_LIST)
    within = _COLUMNS.id.between(prefix.ljust(_ID_CHARS, "0"), prefix.ljust(_ID_CHARS, "f"))
    statement = select(tables.requests).where(within).limit(2)
    rows = connection.execute(statement.with_for_update() if lock else statement).all()
    if not rows:
        raise Fault(Kind.NOT_FOUND, f"there is no request {prefix!r}", hint=_LIST)
    if len(rows) > 1:
        raise Fault(Kind.CONFLICT, f"several requests begin with {prefix!r}", hint="give more of its digits")
    return _request(rows[0])


def list_requests(
    connection: Connection, *, state: RequestState | None = None, after: str | None = None, limit: int = 100
) -> list[WaitingRequest]:
    """Return requests after the id `after` in the order of their ids, all or those in one state, at most `limit`."""
    statement = select(tables.requests).order_by(_COLUMNS.id).limit(max(1, min(limit, LIST_ROWS_MAX)))
    if state is not None:
        statement = statement.where(_COLUMNS.state == state)
    if after is not None:
        statement = statement.where(_COLUMNS.id > after)
    return [_request(row) for row in connection.execute(statement)]


def approve_request(change: Change, request_id: str) -> WaitingRequest:
    """Let a request through: who sent it gets the certificate when it asks again.

    One that is approved stays so. Raises `Fault`: not found; conflict when it was denied or fetched; expired.
    """
    return _decide(change, request_id, RequestState.APPROVED, REQUEST_APPROVED)


def deny_request(change: Change, request_id: str) -> WaitingRequest:
    """Turn a request down for good, approved or not. Raises `Fault`: not found; conflict when it was fetched; expired.

    The same key may be asked for by another request.
    """
    return _decide(change, request_id, RequestState.DENIED, REQUEST_DENIED)


def deny_requests_of(change: Change, thing: str) -> list[WaitingRequest]:
    """Turn down all that waits for a person or to be fetched for a thing, and return it."""
    is_open = _COLUMNS.state.in_((RequestState.WAITING, RequestState.APPROVED))
    statement = select(_COLUMNS.id).where(is_open, _COLUMNS.thing == thing, _COLUMNS.expires_at > change.at)
    return [deny_request(change, request_id) for request_id in change.execute(statement).scalars().all()]


def fetch_request(change: Change, request_id: str, thing: str, intent_id: str) -> None:
    """Note what an approved request, found with `lock` in the same change, has led to for its thing."""
    own = (_COLUMNS.id == request_id, _COLUMNS.thing == thing)
    values = {"state": RequestState.FETCHED, "intent_id": intent_id}
    if change.execute(update(tables.requests).where(*own).values(**values)).rowcount != 1:
        raise Bug("a request is fetched that was not approved")
    change.record(REQUEST_FETCHED, request_id, request=request_id, thing=thing, intent=intent_id)


def _decide(change: Change, request_id: str, state: RequestState, kind: str) -> WaitingRequest:
    found = get_request(change.connection, request_id, lock=True)
    now = found.state_at(change.at)
    if now is state:
        return found
    if now is RequestState.EXPIRED:
        raise Fault(Kind.EXPIRED, f"request {found.request_id} has expired", hint="the device asks again by itself")
    if now is not RequestState.WAITING and not (now is RequestState.APPROVED and state is RequestState.DENIED):
        raise Fault(Kind.CONFLICT, f"request {found.request_id} is {now.lower()} already")
    values = {"state": state, "decided_at": change.at, "decided_by": change.actor}
    change.execute(update(tables.requests).where(_COLUMNS.id == found.request_id).values(**values))
    said = {"request": found.request_id, "enrollment": found.enrollment, "thing": found.thing}
    change.record(kind, found.request_id, **said, request_digest=found.request_digest)
    reached(Point.DECIDED)
    return get_request(change.connection, found.request_id)


def _request(row: Row[Any]) -> WaitingRequest:
    values = dict(row._mapping)
    values["request_id"] = values.pop("id")
    values["state"] = RequestState(values["state"])
    return WaitingRequest(**values)
