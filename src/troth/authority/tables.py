"""The authority's table: what it was asked to sign, and what came of it."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

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

crl_scopes: Final = Table(
    "crl_scopes",
    metadata,
    Column("issuer_id", String(64), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
"""The last CRL number that was given to what is to be signed, for each issuer and shard; shard -1 is the whole."""

crls: Final = Table(
    "crls",
    metadata,
    Column("issuer_id", String(64), primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("base_number", BigInteger),
    Column("this_update", Instant, nullable=False),
    Column("next_update", Instant, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("der", LargeBinary, nullable=False),
)
"""The CRLs in force, made from the registry: one of each kind for each issuer and shard."""
