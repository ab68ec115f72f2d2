"""Requests of issuers whose keys were made here and whose certificates are to come from elsewhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.x509.profiles import Purpose

ISSUER_REQUESTED: Final = "issuer.requested"

_COLUMNS: Final = tables.issuer_requests.c


@dataclass(frozen=True, slots=True)
class IssuerRequest:
    """What was asked for, and where the key is that goes with the answer."""

    name: str
    """What the issuer will be called: ``devices-2``."""
    line: str
    number: int
    purpose: Purpose
    key_name: str
    request: bytes
    """DER (PKCS#10)."""
    created_at: datetime


def add_issuer_request(
    change: Change, *, name: str, line: str, number: int, purpose: Purpose, key_name: str, request: bytes
) -> IssuerRequest:
    """Add a request. Raises `Fault` (conflict) when there is one of this name."""
    if any(each.name == name for each in list_issuer_requests(change.connection)):
        raise Fault(Kind.CONFLICT, f"a certificate for {name} has been asked for already", hint="troth ca list")
    asked = IssuerRequest(name, line, number, purpose, key_name, request, change.at)
    change.execute(tables.issuer_requests.insert().values({field: getattr(asked, field) for field in asked.__slots__}))
    change.record(ISSUER_REQUESTED, name, name=name, purpose=purpose.value, key_name=key_name, request=request.hex())
    return asked


def drop_issuer_request(change: Change, name: str) -> None:
    """Forget a request: its answer is registered, by the same change."""
    change.execute(delete(tables.issuer_requests).where(_COLUMNS.name == name))


def list_issuer_requests(connection: Connection) -> list[IssuerRequest]:
    """Return the requests that wait for an answer, oldest first."""
    rows = connection.execute(select(tables.issuer_requests).order_by(_COLUMNS.created_at, _COLUMNS.name))
    return [_request(row) for row in rows]


def _request(row: Row[Any]) -> IssuerRequest:
    values = dict(row._mapping)
    values["purpose"] = Purpose(values["purpose"])
    return IssuerRequest(**values)
