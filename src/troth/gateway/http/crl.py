"""CRLs over plain HTTP: the one in force at each path, with honest cache times, and none after its time.

Bytes by key: read from the database when they are first asked for, kept, and let go when the journal tells of newer
ones. Who may connect here, the registry decides, never these. RFC 2585 section 4.2, RFC 9110 section 13, RFC 9111.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

from starlette.responses import Response

from troth.authority.derive import CRLS_PATH, published_name
from troth.authority.status.publish import CRL_PUBLISHED
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.record import Entry
from troth.limits import CRL_BYTES_KEPT_MAX
from troth.store.connect import Database
from troth.store.read import read

CONTENT_TYPE: Final = "application/pkix-crl"
COMPLETE_KEPT_S: Final = 3600
"""How long others may keep a complete CRL at most: it is made anew after every revocation."""
DELTA_KEPT_S: Final = 60
RETRY_AFTER_S: Final = 5.0
_SUFFIX: Final = ".crl"
_DELTA: Final = "-delta"
_SHARD_DIGITS_MAX: Final = 5

Key = tuple[Scope, CRLKind]


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a client has already, in its own words (RFC 9110, 13.1)."""

    none_match: str | None = None
    modified_since: str | None = None

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Conditions":
        """Return those of a request's headers."""
        said = {name: value.decode("latin-1") for name, value in headers}
        return cls(said.get(b"if-none-match"), said.get(b"if-modified-since"))


class CRLs:
    """The CRLs that one worker hands out."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._kept: OrderedDict[Key, StoredCRL] = OrderedDict()
        self._loading: dict[Key, asyncio.Task[StoredCRL | None]] = {}
        self._published = 0

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take note of journal entries: let go of the CRLs that others have taken the place of."""
        for entry in entries:
            if entry.kind == CRL_PUBLISHED:
                self._published += 1
                for key in [key for key in self._kept if key[0].issuer_id == entry.subject]:
                    del self._kept[key]

    async def answer(self, key: Key, conditions: Conditions) -> Response:
        """Return the answer to a request for a CRL. Raises `Fault` (unavailable): there is none in force."""
        now = self._clock.now()
        crl = self._kept.get(key)
        if crl is None or crl.next_update <= now:
            crl = await self._load(key)
        else:
            self._kept.move_to_end(key)
        if crl is None:
            raise Fault(
                Kind.UNAVAILABLE,
                "this CRL has not been published yet",
                hint="the authority does it at its start; a root's is made by hand: troth crl publish --ca root",
                retry_after=RETRY_AFTER_S,
            )
        return _answer(crl, conditions, now)

    async def _load(self, key: Key) -> StoredCRL | None:
        task = self._loading.get(key)
        if task is None:
            # One reading of the database serves all who ask meanwhile.
            task = self._loading[key] = asyncio.create_task(self._read_and_keep(key))
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)

    async def _read_and_keep(self, key: Key) -> StoredCRL | None:
        published = self._published
        crl = await asyncio.to_thread(self._read, key)
        # What was published during the reading may be newer than what was read.
        if crl is not None and published == self._published:
            self._kept[key] = crl
            while sum(len(each.der) for each in self._kept.values()) > CRL_BYTES_KEPT_MAX:
                self._kept.popitem(last=False)
        return crl

    def _read(self, key: Key) -> StoredCRL | None:
        with read(self._db) as connection:
            return find_crl(connection, *key)


def parse_path(path: str, shards: Mapping[str, int]) -> Key | None:
    """Return which CRL is at a path; None for a path that no CRL can have. `shards` are counted by issuer id."""
    if not (path.startswith(CRLS_PATH) and path.endswith(_SUFFIX)):
        return None
    name = path[len(CRLS_PATH) : -len(_SUFFIX)]
    kind = CRLKind.DELTA if name.endswith(_DELTA) else CRLKind.COMPLETE
    issuer, slash, shard = name.removesuffix(_DELTA).partition("/")
    issuer_id = next((each for each in shards if published_name(each) == issuer), None)
    if issuer_id is None:
        return None
    if not slash:
        return Scope(issuer_id, None), kind
    if not (shard.isascii() and shard.isdigit() and len(shard) <= _SHARD_DIGITS_MAX and str(int(shard)) == shard):
        return None
    return (Scope(issuer_id, int(shard)), kind) if int(shard) < shards[issuer_id] else None


def _answer(crl: StoredCRL, conditions: Conditions, now: datetime) -> Response:
    left = crl.next_update - now
    if left <= timedelta(0):
        raise Fault(
            Kind.UNAVAILABLE,
            f"this CRL could be believed until {crl.next_update.isoformat()}, and no newer one has been published",
            hint="is the authority running? a root's is made by hand: troth crl publish --ca root",
            retry_after=RETRY_AFTER_S,
        )
    kept_s = min(int(left.total_seconds()), DELTA_KEPT_S if crl.kind is CRLKind.DELTA else COMPLETE_KEPT_S)
    tag = f'"{crl.sha256[:32]}"'
    headers = {
        "ETag": tag,
        "Last-Modified": format_datetime(crl.this_update.astimezone(UTC), usegmt=True),
        "Cache-Control": f"public, max-age={kept_s}",
    }
    if _has_it(conditions, tag, crl.this_update):
        return Response(status_code=304, headers=headers)
    return Response(crl.der, headers={"Content-Type": CONTENT_TYPE, **headers})


def _has_it(conditions: Conditions, tag: str, made_at: datetime) -> bool:
    if conditions.none_match is not None:
        # RFC 9110, 13.1.2: a weak comparison, and the other condition counts for nothing beside it.
        tags = {each.strip().removeprefix("W/") for each in conditions.none_match.split(",")}
        return tag in tags or "*" in tags
    if conditions.modified_since is None:
        return False
    try:
        since = parsedate_to_datetime(conditions.modified_since)
    except ValueError:
        return False
    return since.tzinfo is not None and made_at <= since
