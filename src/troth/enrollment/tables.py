"""The enrollment's table: its one-time tokens, of which only digests are kept."""

from typing import Final

from sqlalchemy import Column, Index, String, Table, Text, UniqueConstraint

from troth.limits import NAME_CHARS_MAX
from troth.store.schema import metadata
from troth.store.types import Instant

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
