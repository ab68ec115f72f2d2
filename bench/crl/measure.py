"""What revoking and publishing cost, measured on a home with many certificates."""

import ctypes
import gc
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import text

from bench import machine
from bench.million import Filled
from troth.app.wiring.door import open_crl_door
from troth.authority.revoke import revoke
from troth.authority.status.publish import CRLDoor
from troth.authority.status.stored import CRLKind, Scope, find_crl
from troth.journal.change import change
from troth.registry.issuers import Issuer, find_issuer
from troth.store.read import read
from troth.x509.crl import Reason, build_entry
from troth.x509.serials import shard_of

_CHUNK: Final = 10_000
_REVOKE: Final = "UPDATE certificates SET state = 'REVOKED', reason = 'superseded' WHERE certificate_id = ?"
_ADD: Final = "INSERT INTO revocations VALUES (?, ?, ?, ?, 'superseded', ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Revoking:
    """Revoking one certificate after another, each in a change of its own."""

    revoked_before: int
    median_us: float
    """Elapsed, the commit's fsync included."""
    cpu_us: float
    signature_us: float
    """CPU time of a P-256 signature just before: how fast the machine was."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Publishing:
    """Making one CRL anew, its delta beside it, and putting both in force."""

    what: str
    entries: int
    bytes: int
    median_ms: float
    """Elapsed, both commits included."""
    worst_ms: float
    cpu_ms: float

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def revoke_singly(filled: Filled, rounds: int, revoked_before: int) -> Revoking:
    """Revoke certificates one by one."""
    with read(filled.authority.db) as connection:
        ids = connection.execute(
            text("SELECT certificate_id FROM certificates WHERE state = 'ACTIVE' AND issuer_id = :issuer LIMIT :n"),
            {"issuer": filled.issuer_id, "n": rounds},
        ).scalars()
        chosen = list(ids)
    took_s: list[float] = []
    signature_us = machine.signature_us()
    cpu_s = time.process_time()
    for identity in chosen:
        began_s = time.perf_counter()
        with change(filled.authority.db, filled.authority.clock, "operator:bench") as changing:
            revoke(changing, identity, Reason.SUPERSEDED)
        took_s.append(time.perf_counter() - began_s)
    cpu_s = time.process_time() - cpu_s
    return Revoking(revoked_before, median(took_s) * 1e6, cpu_s / rounds * 1e6, signature_us)


def revoke_in_bulk(filled: Filled, count: int) -> None:
    """Revoke so many more behind everybody's back, as fast as SQL goes."""
    assert filled.authority.db.path is not None
    now = filled.authority.clock.now()
    at = int(now.timestamp() * 1e6)
    connection = sqlite3.connect(filled.authority.db.path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    rows = connection.execute(
        "SELECT certificate_id, serial, not_after FROM certificates WHERE state = 'ACTIVE' AND issuer_id = ? LIMIT ?",
        (filled.issuer_id, count),
    ).fetchall()
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        connection.executemany(_REVOKE, [(identity,) for identity, _, _ in chunk])
        connection.executemany(_ADD, [_row(filled.issuer_id, serial, ends, at, now) for _, serial, ends in chunk])
    connection.execute("COMMIT")
    connection.close()
    settle(filled)


def settle(filled: Filled) -> None:
    """Put all that has been written in its place in the database, so that nobody who is measured does it."""
    assert filled.authority.db.path is not None
    connection = sqlite3.connect(filled.authority.db.path, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _row(issuer_id: str, serial: str, ends: int, at: int, now: object) -> tuple[object, ...]:
    number = int(serial, 16)
    entry = build_entry(number, now, Reason.SUPERSEDED)  # type: ignore[arg-type]
    return issuer_id, shard_of(number), serial, at, ends, at, entry


class Publisher:
    """Publishes the CRLs of a filled home, again and again."""

    def __init__(self, filled: Filled) -> None:
        authority = filled.authority
        self._filled = filled
        self._door: CRLDoor = open_crl_door(authority.db, authority.cabinet, authority.public_url)
        with read(filled.authority.db) as connection:
            issuer = find_issuer(connection, filled.issuer_id)
        assert issuer is not None
        self.issuer: Issuer = issuer

    def publish(self, what: str, shards: Sequence[int | None], rounds: int) -> Publishing:
        """Publish the scopes one by one, so many times each; the figures are of one scope."""
        authority = self._filled.authority
        took_s: list[float] = []
        cpu_s = time.process_time()
        for _ in range(rounds):
            for shard in shards:
                began_s = time.perf_counter()
                self._door.publish(authority.db, authority.clock, "operator:bench", self.issuer, [shard])
                took_s.append(time.perf_counter() - began_s)
        cpu_s = (time.process_time() - cpu_s) / len(took_s)
        with read(self._filled.authority.db) as connection:
            crl = find_crl(connection, Scope(self.issuer.issuer_id, shards[-1]), CRLKind.COMPLETE)
        assert crl is not None
        return Publishing(what, crl.entries, len(crl.der), median(took_s) * 1000, max(took_s) * 1000, cpu_s * 1000)


def forget_peak() -> float:
    """Count the most memory that this process holds from now on (proc(5), clear_refs); return what it holds, in MiB.

    What making the fixture has left behind is given back first (malloc_trim(3)).
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_mib("VmRSS")


def peak_mib() -> float:
    """Return the most memory that this process has held since `forget_peak`, in MiB."""
    return _memory_mib("VmHWM")


def _memory_mib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024
