"""The journal's tables: its entries, and how many there are."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from troth.store.schema import metadata
from troth.store.types import NUMBER, Instant

entries: Final = Table(
    "journal_entries",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Index(None, "subject", "number"),
)

head: Final = Table(
    "journal_head",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)
"""One row. Taking it is what puts changes in order."""
