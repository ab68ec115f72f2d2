"""Entries appended with the tree and, in the same run, without one: the same change, and hashes that are not made."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from troth.clock import SystemClock
from troth.journal import change as changes
from troth.journal.change import change
from troth.store.connect import Database

ENTRY: dict[str, object] = {
    "certificate_id": "5f" * 32,
    "thing": "lamp-1",
    "issuer_id": "a1" * 32,
    "serial": "01" * 16,
    "profile": "device",
    "method": "est-token",
    "state": "ACTIVE",
    "not_after": "2027-01-01T00:00:00+00:00",
    "intent": "c3" * 16,
}
"""What an issued certificate records."""


class NoTree:
    """A frontier that counts and hashes nothing."""

    def __init__(self, size: int) -> None:
        self.size = size

    def root(self) -> bytes:
        return bytes(32)

    def append(self, leaf: bytes) -> bytes:
        self.size += 1
        return leaf

    def render(self) -> bytes:
        return b""


@contextmanager
def without_tree() -> Iterator[None]:
    """Have changes make no tree for the length of the block."""
    module: Any = changes
    kept = module.parse_frontier
    module.parse_frontier = lambda size, _stored: NoTree(size)
    try:
        yield
    finally:
        module.parse_frontier = kept


def append(db: Database, entries: int, per_change: int) -> float:
    """Append entries and return the CPU time of each, in microseconds."""
    clock = SystemClock()
    begun = time.process_time()
    for number in range(entries // per_change):
        with change(db, clock, "bench:journal") as changing:
            for part in range(per_change):
                changing.record("certificate.issued", f"{number:062x}{part:02x}", **ENTRY)
    return (time.process_time() - begun) / entries * 1e6
