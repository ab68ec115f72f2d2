"""The certification authorities of this home, without their keys: lines of generations, and what each may still do."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection, Row, bindparam, select, update

from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.limits import CHAIN_CERTIFICATES_MAX, ISSUERS_MAX
from troth.registry import tables
from troth.registry.certificates import ID_PREFIX_CHARS_MIN
from troth.store.query import Query
from troth.x509.certificates import certificate_id
from troth.x509.profiles import Purpose

ISSUER_CREATED: Final = "issuer.created"
ISSUER_ACTIVATED: Final = "issuer.activated"
ISSUER_SUPERSEDED: Final = "issuer.superseded"
ISSUER_RETIRED: Final = "issuer.retired"
ISSUER_REVOKED: Final = "issuer.revoked"

_COLUMNS: Final = tables.issuers.c


class IssuerState(StrEnum):
    """What an issuer may do, and whether what it has signed still counts."""

    INACTIVE = "INACTIVE"
    """Born, and not yet in force: it signs nothing."""
    ACTIVE = "ACTIVE"
    """The youngest of its line: it signs."""
    SUPERSEDED = "SUPERSEDED"
    """A younger one signs in its place; what it has signed stays good."""
    RETIRED = "RETIRED"
    """Nothing that it has signed is taken any more."""
    REVOKED = "REVOKED"
    """As RETIRED, because its key or its right is lost; its parent's CRL says so."""


TRUSTED: Final = frozenset((IssuerState.INACTIVE, IssuerState.ACTIVE, IssuerState.SUPERSEDED))
"""States of issuers whose certificates are taken."""

_ENTERED: Final = {
    IssuerState.ACTIVE: (ISSUER_ACTIVATED, frozenset((IssuerState.INACTIVE,))),
    IssuerState.SUPERSEDED: (ISSUER_SUPERSEDED, frozenset((IssuerState.ACTIVE,))),
    IssuerState.RETIRED: (ISSUER_RETIRED, TRUSTED),
    IssuerState.REVOKED: (ISSUER_REVOKED, TRUSTED | {IssuerState.RETIRED}),
}
"""What is recorded when an issuer enters a state, and from which states it may. None returns to an earlier one."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certification authority."""

    issuer_id: str
    """Its certificate's id."""
    name: str
    purpose: Purpose
    certificate: x509.Certificate
    parent_id: str | None
    """Who certified it; None for a root."""
    key_name: str
    """Under which name its key is kept; empty where it is kept elsewhere and only its certificate is known here."""
    state: IssuerState
    created_at: datetime
    shards: int
    """Over how many CRLs its certificates are spread (`troth.x509.serials`)."""
    line: str
    """What it is a generation of: by default what its purpose is called."""
    number: int
    """Which generation of its line, from 1."""

    @property
    def is_trusted(self) -> bool:
        """Whether certificates that it has signed are taken."""
        return self.state in TRUSTED


def add_issuer(
    change: Change,
    certificate: x509.Certificate,
    *,
    name: str,
    purpose: Purpose,
    parent_id: str | None,
    key_name: str,
    shards: int = 1,
    line: str | None = None,
    number: int = 1,
    state: IssuerState = IssuerState.ACTIVE,
) -> Issuer:
    """Add an issuer, by default in force at once: among those of its line the youngest signs.

    `line` is by default what its purpose is called. Raises `Fault`: conflict when its certificate or its name is taken;
    not found for a parent that does not exist; too large above `ISSUERS_MAX`.
    """
    issuers = list_issuers(change.connection)
    identity = certificate_id(certificate)
    if any(other.issuer_id == identity or other.name == name for other in issuers):
        raise Fault(Kind.CONFLICT, f"issuer {name!r} or its certificate is registered already", hint="troth ca list")
    if parent_id is not None and all(other.issuer_id != parent_id for other in issuers):
        raise Fault(Kind.NOT_FOUND, f"there is no issuer {parent_id[:12]} that could be a parent")
    if len(issuers) >= ISSUERS_MAX:
        raise Fault(Kind.TOO_LARGE, f"a home may have at most {ISSUERS_MAX} issuers")
    issuer = Issuer(
        issuer_id=identity,
        name=name,
        purpose=purpose,
        certificate=certificate,
        parent_id=parent_id,
        key_name=key_name,
        state=state,
        created_at=change.at,
        shards=shards,
        line=line or purpose.value,
        number=number,
    )
    change.execute(
        tables.issuers.insert().values(
            issuer_id=identity,
            name=name,
            purpose=purpose,
            parent_id=parent_id,
            key_name=key_name,
            state=issuer.state,
            der=certificate.public_bytes(Encoding.DER),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            created_at=change.at,
            shards=shards,
            line=issuer.line,
            number=number,
        )
    )
    change.record(
        ISSUER_CREATED,
        identity,
        issuer_id=identity,
        name=name,
        purpose=purpose.value,
        parent_id=parent_id,
        state=state.value,
    )
    return issuer


def set_issuer_state(change: Change, issuer_id: str, state: IssuerState, **data: object) -> Issuer:
    """Put an issuer into a state; where it is in that state already, nothing changes. `data` is recorded beside it.

    Raises `Fault`: not found; conflict for a state that cannot follow the one that it is in.
    """
    locked = change.execute(select(tables.issuers).where(_COLUMNS.issuer_id == issuer_id).with_for_update())
    row = locked.one_or_none()
    if row is None:
        raise _unknown(issuer_id[:12])
    issuer = _issuer(row)
    if issuer.state is state:
        return issuer
    kind, before = _ENTERED.get(state, ("", frozenset()))
    if issuer.state not in before:
        raise Fault(Kind.CONFLICT, f"issuer {issuer.name} is {issuer.state} and cannot become {state}")
    change.execute(update(tables.issuers).where(_COLUMNS.issuer_id == issuer_id).values(state=state))
    change.record(kind, issuer_id, issuer_id=issuer_id, name=issuer.name, before=issuer.state.value, **data)
    return replace(issuer, state=state)


def find_issuer(connection: Connection, issuer_id: str) -> Issuer | None:
    """Return the issuer with this id, or None."""
    row = _BY_ID.one_or_none(connection, {"issuer_id": issuer_id})
    return None if row is None else _issuer(row)


def get_issuer(connection: Connection, purpose: Purpose, line: str | None = None) -> Issuer:
    """Return the issuer that signs here for `purpose` now: the youngest in force of `line`, or of the purpose's own.

    Raises `Fault` (not found) when none does.
    """
    row = _SIGNING.one_or_none(connection, {"purpose": purpose, "line": line or purpose.value})
    if row is None:
        which = "" if line is None else f" under the name {line!r}"
        hint = "troth ca list shows those there are; a profile's issuer_name says which of several signs"
        if purpose is Purpose.PEERS and line is None:
            hint = "make one: troth ca create peers"
        raise Fault(Kind.NOT_FOUND, f"no certification authority signs for {purpose.value}{which}", hint=hint)
    return _issuer(row)


def get_issuer_named(connection: Connection, name: str) -> Issuer:
    """Return the issuer of this name (``devices-1``), or with an id that begins so. Raises `Fault` (not found)."""
    for issuer in list_issuers(connection):
        if issuer.name == name or (len(name) >= ID_PREFIX_CHARS_MIN and issuer.issuer_id.startswith(name.lower())):
            return issuer
    raise _unknown(name)


def list_issuers(connection: Connection) -> list[Issuer]:
    """Return all issuers, oldest first; there are at most `ISSUERS_MAX`."""
    rows = connection.execute(select(tables.issuers).order_by(_COLUMNS.created_at, _COLUMNS.name))
    return [_issuer(row) for row in rows]


def chain_of(connection: Connection, issuer_id: str) -> tuple[x509.Certificate, ...]:
    """Return the issuer's certificate, its parent's, and so on to the root's, which comes last.

    Raises `Fault` (not found) for an unknown issuer.
    """
    chain: list[x509.Certificate] = []
    wanted: str | None = issuer_id
    while wanted is not None:
        issuer = find_issuer(connection, wanted)
        if issuer is None:
            raise _unknown(wanted[:12])
        if len(chain) >= CHAIN_CERTIFICATES_MAX:
            raise Bug("a chain of issuers has no end")
        chain.append(issuer.certificate)
        wanted = issuer.parent_id
    return tuple(chain)


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_BY_ID: Final = Query(select(tables.issuers).where(_COLUMNS.issuer_id == bindparam("issuer_id")))
_SIGNING: Final = Query(
    select(tables.issuers)
    .where(
        _COLUMNS.purpose == bindparam("purpose"),
        _COLUMNS.state == IssuerState.ACTIVE,
        _COLUMNS.line == bindparam("line"),
        _COLUMNS.key_name != "",
    )
    .order_by(_COLUMNS.created_at.desc())
    .limit(1)
)

# The same object each time: what has been read of its extensions stays with it.
_certificate: Final = lru_cache(ISSUERS_MAX)(x509.load_der_x509_certificate)


def _issuer(row: Row[Any]) -> Issuer:
    return Issuer(
        row.issuer_id,
        row.name,
        Purpose(row.purpose),
        _certificate(row.der),
        row.parent_id,
        row.key_name,
        IssuerState(row.state),
        row.created_at,
        row.shards,
        row.line,
        row.number,
    )


def _unknown(name: str) -> Fault:
    return Fault(Kind.NOT_FOUND, f"there is no issuer {name[:64]!r}", hint="troth ca list shows those there are")
