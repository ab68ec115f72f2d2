"""What must hold at every moment of a fleet's life, looked at whenever it could stop to: each has a name of its own.

Knows nothing of how it is achieved: what devices show, what the home lets in and what is in its database is compared
with what the story knows.
"""

import hashlib
from base64 import b64decode
from binascii import Error as NotBase64
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from troth.keys.file import FileKey
from troth.limits import RENEWAL_UNUSED_S_MAX
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.public_keys import render_public_key

LIVE_MAX: Final = 2
"""Certificates of a thing that may be good at one time: the one in use, and the one that it goes over to."""
UNUSED_MAX: Final = timedelta(seconds=RENEWAL_UNUSED_S_MAX) + timedelta(days=30)
"""How long both may be: until the first use, or until nobody has come to use it and the sweep was there."""
SCALAR_BYTES: Final = 32
_LIVE_OF_ONE: Final = "SELECT count(*) FROM certificates WHERE state = 'ACTIVE' AND not_after > :at AND thing = :thing"
_LIVE_TOGETHER: Final = (
    "SELECT thing, count(*), max(not_before) FROM certificates WHERE state = 'ACTIVE' AND not_after > :at"
    " AND thing IS NOT NULL GROUP BY thing HAVING count(*) > 1"
)


class Promise(StrEnum):
    """What is promised."""

    STRANDED = "no device is stranded"
    SHARED_KEY = "no key is used by two"
    STALE_KEY = "no key lets anybody in that was let go of"
    KEY_ON_WIRE = "no private key leaves its device"
    OVERLAP = "certificates do not overlap more than they may"
    LOST_READING = "no reading is lost"
    JOURNAL = "the journal is whole"
    INVENTORY = "nothing is orphaned"


class Broken(Exception):
    """A promise is broken."""

    def __init__(self, promise: Promise, at: datetime, what: str) -> None:
        super().__init__(f"{promise.value}: {what} ({at:%Y-%m-%d %H:%M})")
        self.promise = promise


@dataclass
class Loose:
    """A private key that somebody else could hold."""

    thing: str
    why: str


class Watcher:
    """Looks on. Every method raises `Broken`."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self.loose: dict[str, Loose] = {}
        self._scalars: dict[str, dict[str, bytes]] = {}
        self._readings: Counter[str] = Counter()

    def holds(self, thing: str, key: FileKey, at: datetime) -> str:
        """Take note that a device holds a key; return the key's digest."""
        digest = digest_of(key)
        owner = self._owners.setdefault(digest, thing)
        if owner != thing:
            raise Broken(Promise.SHARED_KEY, at, f"{thing} holds a key of {owner}")
        if isinstance(key.private_key, ec.EllipticCurvePrivateKey):
            scalar = key.private_key.private_numbers().private_value.to_bytes(SCALAR_BYTES, "big")
            known = self._scalars.setdefault(thing, {})
            known[digest] = scalar
            while len(known) > 2 * LIVE_MAX:
                del known[next(iter(known))]
        return digest

    def let_go(self, thing: str, key: FileKey, why: str) -> None:
        """Take note that a key can be in anybody's hands from now on."""
        self.loose[digest_of(key)] = Loose(thing, why)

    def passed(self, thing: str, content: bytes, at: datetime) -> None:
        """Look for private keys in what passes."""
        decoded = _decoded(content)
        if b"PRIVATE KEY" in content or b"PRIVATE KEY" in decoded:
            raise Broken(Promise.KEY_ON_WIRE, at, f"a private key in PEM passes the wire of {thing}")
        for scalar in self._scalars.get(thing, {}).values():
            if scalar in content or scalar in decoded or scalar.hex().encode() in content.lower():
                raise Broken(Promise.KEY_ON_WIRE, at, f"a private key passes the wire of {thing}")

    def let_in(self, caller: str, thing: str | None, digest: str, at: datetime, where: str) -> None:
        """Take note that the home has let in who holds the key with this digest: `caller`, taken for `thing`."""
        if thing != caller:
            raise Broken(Promise.STALE_KEY, at, f"{where}: {caller} is taken for {thing}")
        loose = self.loose.get(digest)
        if loose is not None:
            raise Broken(Promise.STALE_KEY, at, f"{where}: a key of {loose.thing} lets somebody in, {loose.why}")
        owner = self._owners.setdefault(digest, caller)
        if owner != caller:
            raise Broken(Promise.SHARED_KEY, at, f"{where}: {caller} comes with a key of {owner}")

    def arrived(self, thing: str, number: int, at: datetime) -> None:
        """Take note of a reading: the first coming of each is in order, and none is left out."""
        if number > self._readings[thing] + 1:
            raise Broken(Promise.LOST_READING, at, f"{thing} sends {number} behind {self._readings[thing]}")
        self._readings[thing] = max(self._readings[thing], number)

    def forget_readings(self, thing: str) -> None:
        """Begin anew: its disk is a new one."""
        del self._readings[thing]

    @property
    def readings(self) -> int:
        """How many have arrived."""
        return self._readings.total()

    def overlap(self, db: Database, at: datetime, thing: str | None = None) -> None:
        """Look whether more certificates are good than may be: of one thing, or of all and for how long."""
        if thing is not None:
            ((count,),) = _rows(db, _LIVE_OF_ONE, at, thing)
            if count > LIVE_MAX:
                raise Broken(Promise.OVERLAP, at, f"{thing} has {count} good certificates")
            return
        for name, count, youngest in _rows(db, _LIVE_TOGETHER, at):
            since = at - _time(youngest)
            if count > LIVE_MAX or since > UNUSED_MAX:
                raise Broken(Promise.OVERLAP, at, f"{name} has {count} good certificates for {since.days} days")


def digest_of(key: FileKey) -> str:
    """Return by what a key is known here."""
    return hashlib.sha256(render_public_key(key.public_key)).hexdigest()


def _rows(db: Database, statement: str, at: datetime, thing: str | None = None) -> list[tuple[Any, ...]]:
    values = {"at": int(at.timestamp() * 1_000_000), "thing": thing}
    with read(db) as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def _decoded(content: bytes) -> bytes:
    """Return the body of what passes where it is base64."""
    try:
        return b64decode(content.partition(b"\r\n\r\n")[2], validate=False)
    except NotBase64:
        return b""


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, tz=UTC)
