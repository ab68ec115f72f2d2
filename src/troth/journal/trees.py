"""The journal's Merkle tree as it is stored: beside each entry, the hashes of all complete subtrees that end with it.

So any complete subtree is one row away, and a proof at ten million entries reads some forty rows by their key.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select

from troth.errors import Fault, Kind
from troth.evidence.merkle import HASH_BYTES, Frontier, Node, frontier_nodes, prove_consistency, prove_inclusion
from troth.journal import tables

_NODES: Final = select(tables.entries.c.number, tables.entries.c.nodes).where(
    tables.entries.c.number.in_(bindparam("numbers", expanding=True))
)


def frontier_at(connection: Connection, size: int) -> Frontier:
    """Return the frontier of the tree over the first `size` entries, as it is stored now.

    Raises `Fault` (rejected) when the rows that it takes are not there.
    """
    return Frontier(size, _fetch(connection, frontier_nodes(size)))


def inclusion_path(connection: Connection, number: int, size: int) -> list[bytes]:
    """Return the path from entry `number` to the head over the first `size` entries. Raises as `frontier_at`."""
    return prove_inclusion(number - 1, size, lambda nodes: _fetch(connection, nodes))


def consistency_path(connection: Connection, first: int, second: int) -> list[bytes]:
    """Return the proof that the tree of `second` entries begins with that of `first`. Raises as `frontier_at`."""
    return prove_consistency(first, second, lambda nodes: _fetch(connection, nodes))


def _fetch(connection: Connection, nodes: Sequence[Node]) -> list[bytes]:
    numbers = {node.last_leaf + 1 for node in nodes}
    rows = {row[0]: row[1] for row in connection.execute(_NODES, {"numbers": list(numbers)})}
    found = []
    for node in nodes:
        at = node.level * HASH_BYTES
        node_hash = rows.get(node.last_leaf + 1, b"")[at : at + HASH_BYTES]
        if len(node_hash) != HASH_BYTES:
            hint = "troth journal verify tells what was changed"
            raise Fault(Kind.REJECTED, f"entry {node.last_leaf + 1} of the journal is not whole", hint=hint)
        found.append(node_hash)
    return found
