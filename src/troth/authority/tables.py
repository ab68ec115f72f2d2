"""The authority's table: what it was asked to sign, and what came of it."""

from typing import Final

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text, UniqueConstraint

from troth.limits import NAME_CHARS_MAX
from troth.store.schema import metadata
from troth.store.types import Instant, JSONText

intents: Final = Table(
    "intents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("issuer_id", String(64), nullable=False),
    Column("profile", String(NAME_CHARS_MAX), nullable=False),
    Column("thing", String(NAME_CHARS_MAX)),
    Column("request", LargeBinary),
    Column("request_digest", String(64), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("san", JSONText, nullable=False),
    Column("serial", String(64), nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("method", String(64), nullable=False),
    Column("proof", JSONText, nullable=False),
    Column("actor", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("certificate_id", String(64)),
    Column("refusal", Text),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("issuer_id", "serial"),
    Index(None, "state", "created_at"),
    Index(None, "request_digest", "created_at"),
)
"""One row an intent: ``request`` is the DER of the CSR, ``public_key`` a DER SubjectPublicKeyInfo, ``subject`` a DER
Name."""
