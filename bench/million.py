"""A home with a million certificates, written by plain SQL in half a minute: rows as the registry would have made them.

The certificates' bytes are one real certificate's, over and over: nothing that is measured here reads them. Their ids,
serial numbers, shards, things and dates are all different, and one in ten is revoked.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from troth.registry.issuers import get_issuer
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.x509.crl import Reason, build_entry
from troth.x509.profiles import Purpose
from troth.x509.serials import RANDOM_OCTETS, make_serial

MILLION: Final = 1_000_000
REVOKED_ONE_IN: Final = 10
_CHUNK: Final = 10_000
_ADD: Final = f"INSERT INTO certificates VALUES ({','.join('?' * 16)})"
_REVOKE: Final = "INSERT INTO revocations VALUES (?,?,?,?,?,?,?,?)"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

_Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """A home that has been filled."""

    authority: TestAuthority
    issuer_id: str
    shards: int
    count: int


def fill(folder: Path, count: int = MILLION, revoked_one_in: int = REVOKED_ONE_IN) -> Filled:
    """Make a home below `folder` with `count` certificates of its devices CA beside those of its birth."""
    authority = TestAuthority(folder)
    der = authority.device("pattern").certificate.public_bytes(Encoding.DER)
    with read(authority.db) as connection:
        issuer = get_issuer(connection, Purpose.DEVICES)
    assert authority.db.path is not None
    filled = Filled(authority, issuer.issuer_id, issuer.shards, count)
    writing = sqlite3.connect(authority.db.path, isolation_level=None)
    writing.execute("PRAGMA synchronous=OFF")
    writing.execute("PRAGMA cache_size=-1000000")
    writing.execute("BEGIN")
    for begin in range(0, count, _CHUNK):
        rows = list(_rows(filled, range(begin, min(begin + _CHUNK, count)), revoked_one_in, der))
        writing.executemany(_ADD, [row for row, _ in rows])
        writing.executemany(_REVOKE, [entry for _, entry in rows if entry is not None])
    writing.execute("COMMIT")
    writing.close()
    return filled


def _rows(filled: Filled, numbers: range, revoked_one_in: int, der: bytes) -> Iterator[tuple[_Row, _Row | None]]:
    now = filled.authority.clock.now()
    for number in numbers:
        digest = hashlib.sha256(b"%d" % number).digest()
        shard = number % filled.shards
        serial = make_serial(shard, digest[:RANDOM_OCTETS])
        # Issued over 90 days, for 90 days: some expire today, and some in a season.
        made = now - timedelta(days=90) * ((number % 9973) / 9973)
        dates = [_micros(each) for each in (made, made + timedelta(days=90), made, made)]
        revoked = revoked_one_in > 0 and number % revoked_one_in == 0
        reason = Reason.KEY_COMPROMISE if revoked else None
        state = "REVOKED" if revoked else "ACTIVE"
        own = (digest.hex(), filled.issuer_id, f"{serial:x}", f"CN=lamp-{number}", f"lamp-{number}")
        row = (*own, "device", "token", state, der, *dates, _micros(now) if revoked else None, reason, None)
        if reason is None:
            yield row, None
            continue
        at = _micros(now)
        entry = build_entry(serial, now, reason)
        yield row, (filled.issuer_id, shard, f"{serial:x}", at, reason.value, dates[1], at, entry)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
