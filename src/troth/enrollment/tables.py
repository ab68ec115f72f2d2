"""The enrollment's tables: who may come, tokens of which only digests are kept, what waits, what is bound, renewals."""

from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from troth.limits import NAME_CHARS_MAX
from troth.store.schema import metadata
from troth.store.types import Instant, JSONText

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("thing", String(NAME_CHARS_MAX), nullable=False),
    Column("profile", String(NAME_CHARS_MAX), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("spent_at", Instant),
    Column("intent_id", String(64)),
    Column("revoked_at", Instant),
    Column("created_by", Text, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "thing", "id"),
    Index(None, "expires_at"),
)
"""``digest`` is the lower-case hex SHA-256 of the token."""

enrollments: Final = Table(
    "enrollments",
    metadata,
    Column("name", String(NAME_CHARS_MAX), primary_key=True),
    Column("document", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

requests: Final = Table(
    "requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("enrollment", String(NAME_CHARS_MAX), nullable=False),
    Column("thing", String(NAME_CHARS_MAX), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("key_digest", String(64), nullable=False),
    Column("evidence", JSONText, nullable=False),
    Column("address", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", Text),
    Column("intent_id", String(64)),
    UniqueConstraint("enrollment", "thing", "request_digest"),
    Index(None, "state", "id"),
    Index(None, "expires_at"),
)
"""What waits for a person: ``request`` is the DER of the CSR, ``key_digest`` the SHA-256 of its key."""

bindings: Final = Table(
    "bindings",
    metadata,
    Column("thing", String(NAME_CHARS_MAX), primary_key=True),
    Column("credential", String(200), nullable=False),
    Column("bound_at", Instant, nullable=False),
)
"""What alone may enroll a thing from its first enrollment on, where its proof is not made for it in person."""

enrollment_counts: Final = Table(
    "enrollment_counts",
    metadata,
    Column("scope", String(16), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("until", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "until"),
)
"""How many certificates were given until a window ends."""

renewals: Final = Table(
    "renewals",
    metadata,
    Column("intent_id", String(64), primary_key=True),
    Column("thing", String(NAME_CHARS_MAX), nullable=False),
    Column("predecessor_id", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("outcome", String(32)),
    Index(None, "thing", "created_at"),
    Index(None, "due_at"),
    Index(None, "created_at"),
)
"""One row for each renewal: ``predecessor_id`` is the certificate that was shown. It goes on until ``due_at`` is null;
then ``outcome`` says how it ended."""

templates: Final = Table(
    "templates",
    metadata,
    Column("name", String(NAME_CHARS_MAX), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Column("options", JSONText, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

ownerships: Final = Table(
    "ownerships",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("intent_id", String(64), nullable=False),
    Column("claim_id", String(64), nullable=False),
    Column("server_key", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("spent_at", Instant),
    Column("spent_on", String(64)),
    Column("answer", JSONText),
    Index(None, "claim_id", "spent_at"),
    Index(None, "expires_at"),
)
"""Certificates that wait for their things. ``digest`` is the SHA-256 of the ownership token, ``claim_id`` the
certificate of the connection that asked, ``spent_on`` the digest of the request that was answered with ``answer``."""
