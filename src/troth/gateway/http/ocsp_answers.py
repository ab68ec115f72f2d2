"""OCSP answers, made when first asked for, kept as bytes, and forgotten the moment that the journal tells of a change.

An answer is handed out for the first half of its life; then a new one is signed, so that no cache on the way holds one
past its end. Knows no HTTP. RFC 6960 sections 2.2 to 2.4, RFC 5019 sections 2.2 and 6, RFC 9654.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from troth.authority.issue import CERTIFICATE_REFUSED
from troth.authority.status.ocsp import SerialKey, find_statuses, list_answered
from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.errors import Fault, Kind
from troth.gateway.http.ocsp_signers import Signer, Signers
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.limits import OCSP_ANSWERS_KEPT_MAX, OCSP_LOOKUPS_PENDING_MAX
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.ocsp import (
    CertStatus,
    IssuerDigests,
    OCSPRequest,
    SingleResponse,
    assemble_response,
    build_response_data,
    issuer_digests,
    unknown,
)

VALIDITY: Final = timedelta(hours=1)
"""How long an answer may be believed."""
_ATTEMPTS: Final = 5
_THREADS: Final = 2
_RETRY_AFTER_S: Final = 1.0
_UNKNOWN: Final = unknown()
_TOUCHING: Final = frozenset({"certificate", "issuer"})
"""Nouns of the journal whose entries, where they do not name one certificate by its serial, may touch any."""


Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """A signed OCSPResponse."""

    body: bytes
    this_update: datetime
    fresh_until: datetime
    """Until when it is handed out."""
    next_update: datetime
    is_kept: bool
    """Whether it says the same to everybody who asks again: there is no nonce in it, and no unknown serial number."""
    sources: tuple[tuple[SerialKey, CertStatus], ...]
    """What it was made of."""
    etag: bytes
    headers: Headers | None = None
    """For the door to keep what it sends with it."""
    sent: bytes | None = None
    """For the door to keep what it sends: headers, and all behind the date."""


class Answers:
    """The answers of one worker, in its event loop. `load` comes first; `apply` must be fed from the journal.

    `ring` wakes the authority and never blocks; `conclusions` are fed from the same journal.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        public_url: str,
        conclusions: Conclusions,
        ring: Callable[[], object],
        kept_max: int = OCSP_ANSWERS_KEPT_MAX,
    ) -> None:
        self._db = db
        self._clock = clock
        self._threads = ThreadPoolExecutor(_THREADS, "ocsp")
        self._signers = Signers(db, clock, public_url, conclusions, ring, self._threads)
        self._issuers: Mapping[IssuerDigests, Issuer] = {}
        self._statuses: OrderedDict[SerialKey, CertStatus] = OrderedDict()
        self._kept: OrderedDict[bytes, Answer] = OrderedDict()
        self._position = 0
        self._pending = 0
        self._kept_max = kept_max

    async def load(self) -> None:
        """Learn who the issuers are, and keep nothing that was made before. Raises `Fault` (unavailable)."""
        position, issuers = await asyncio.to_thread(self._read_issuers)
        self._issuers = {digests: issuer for issuer in issuers for digests in issuer_digests(issuer.certificate)}
        self._signers.keep_only({issuer.issuer_id for issuer in issuers})
        self._position = max(self._position, position)
        self.forget_all()

    async def close(self) -> None:
        """Give up what is under way."""
        await self._signers.close()
        self._threads.shutdown()

    def forget_all(self) -> None:
        """Keep nothing."""
        self._statuses.clear()
        self._kept.clear()

    def apply(self, entries: Sequence[Entry]) -> None:
        """Forget what journal entries touch."""
        for entry in entries:
            issuer_id, serial = entry.data.get("issuer_id"), entry.data.get("serial")
            if isinstance(issuer_id, str) and isinstance(serial, str):
                self._statuses.pop((issuer_id, int(serial, 16)), None)
            elif entry.kind.partition(".")[0] in _TOUCHING and entry.kind != CERTIFICATE_REFUSED:
                self.forget_all()
        self._position = entries[-1].number

    def find(self, request: bytes) -> Answer | None:
        """Return the answer that is kept for these very bytes, while it is good."""
        answer = self._kept.get(request)
        if answer is None:
            return None
        is_fresh = answer.this_update <= self._clock.now() < answer.fresh_until
        if not is_fresh or any(self._statuses.get(key) is not status for key, status in answer.sources):
            del self._kept[request]
            return None
        self._kept.move_to_end(request)
        for key, _ in answer.sources:
            self._statuses.move_to_end(key)
        return answer

    async def make(self, der: bytes, request: OCSPRequest) -> Answer:
        """Return a new answer to `request`, whose bytes are `der`.

        Raises `Fault`: forbidden (RFC 6960's *unauthorized*: an issuer that is not answered for here, or several at
        once, for whom nobody may sign together), unavailable (no state or no signer to be had now).
        """
        issuer = self._issuer(request)
        keys = tuple((issuer.issuer_id, cert_id.serial) for cert_id in request.cert_ids)
        signer = self._signers.find(issuer.issuer_id) or await self._signers.get(issuer)
        # The state comes last: nothing is waited for between knowing and saying it.
        statuses = await self._known(keys)
        answer = self._signed(request, signer, keys, statuses)
        if answer.is_kept:
            self._kept[der] = answer
            if len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        return answer

    def _issuer(self, request: OCSPRequest) -> Issuer:
        found = {
            issuer.issuer_id: issuer
            for cert_id in request.cert_ids
            if (issuer := self._issuers.get(cert_id.issuer)) is not None
        }
        if len(found) != 1 or any(cert_id.issuer not in self._issuers for cert_id in request.cert_ids):
            raise Fault(Kind.FORBIDDEN, "nobody here may answer for the issuers of all these certificates")
        return next(iter(found.values()))

    async def _known(self, keys: Sequence[SerialKey]) -> Sequence[CertStatus]:
        kept = [self._statuses.get(key) for key in keys]
        missing = [key for key, status in zip(keys, kept, strict=True) if status is None]
        if not missing:
            for key in keys:
                self._statuses.move_to_end(key)
            return [status for status in kept if status is not None]
        found = await self._look_up(keys)
        for key, status in found.items():
            if status is not None:
                self._statuses[key] = status
                if len(self._statuses) > self._kept_max:
                    self._statuses.popitem(last=False)
        return [found[key] or _UNKNOWN for key in keys]

    async def _look_up(self, keys: Sequence[SerialKey]) -> Mapping[SerialKey, CertStatus | None]:
        if self._pending >= OCSP_LOOKUPS_PENDING_MAX:
            raise Fault(Kind.UNAVAILABLE, "too many look-ups are under way", retry_after=_RETRY_AFTER_S)
        self._pending += 1
        try:
            for _ in range(_ATTEMPTS):
                position, found = await asyncio.get_running_loop().run_in_executor(self._threads, self._read, keys)
                # Entries that `apply` was given meanwhile may tell of what this snapshot does not show yet.
                if position >= self._position:
                    return found
        finally:
            self._pending -= 1
        raise Fault(Kind.UNAVAILABLE, "the registry changes faster than it can be read", retry_after=_RETRY_AFTER_S)

    def _read(self, keys: Sequence[SerialKey]) -> tuple[int, Mapping[SerialKey, CertStatus | None]]:
        with read(self._db) as connection:
            return head(connection), find_statuses(connection, keys)

    def _read_issuers(self) -> tuple[int, list[Issuer]]:
        with read(self._db) as connection:
            return head(connection), list_answered(connection)

    def _signed(
        self, request: OCSPRequest, signer: Signer, keys: Sequence[SerialKey], statuses: Sequence[CertStatus]
    ) -> Answer:
        now = self._clock.now().replace(microsecond=0)
        next_update = min(now + VALIDITY, signer.ends_at)
        singles = [
            SingleResponse(cert_id, status, now, next_update)
            for cert_id, status in zip(request.cert_ids, statuses, strict=True)
        ]
        data = build_response_data(signer.responder, now, singles, request.nonce)
        body = assemble_response(data, signer.key.algorithm, signer.key.sign(data), signer.certificate)
        return Answer(
            body=body,
            this_update=now,
            fresh_until=now + (next_update - now) / 2,
            next_update=next_update,
            is_kept=request.nonce is None and _UNKNOWN not in statuses,
            sources=tuple(zip(keys, statuses, strict=True)),
            etag=b'"%s"' % hashlib.sha256(body).hexdigest().encode(),
        )
