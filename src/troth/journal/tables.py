"""The journal's tables: its entries with the hashes of the tree over them, that tree's frontier, and checkpoints."""

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
    Column("nodes", LargeBinary, nullable=False),
    Index(None, "subject", "number"),
)
"""``body``: the canonical bytes. ``nodes``: the hashes of all subtrees that the entry completes, its leaf's first."""

head: Final = Table(
    "journal_head",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
)
"""One row. Taking it is what puts changes in order. ``frontier``: what it takes to make the tree grow."""

checkpoints: Final = Table(
    "journal_checkpoints",
    metadata,
    Column("size", NUMBER, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
    Column("signed_at", Instant, nullable=False),
)
"""Signed notes, one for a size: the key keeps two hosts from signing two heads of one tree."""
