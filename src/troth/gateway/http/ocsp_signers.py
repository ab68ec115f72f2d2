"""The keys by which this worker signs OCSP answers: made in its memory, one for each issuer that is asked about.

The authority certifies each as an OCSP signer and nothing else, for hours, through its one door. RFC 6960, 4.2.2.2.
"""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography import x509

from troth.authority.intents import Intent, IntentState, get_intent
from troth.authority.status.ocsp import find_signer, prepare_signer
from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.errors import Bug, Fault
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.limits import OCSP_SIGNER_WAIT_S_MAX
from troth.registry.issuers import Issuer
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.ocsp import responder_id

GATEWAY: Final = "system:gateway"
RETRY_S: Final = 5.0
"""How long to wait before the authority is asked again by whom it has disappointed."""
MARGIN: Final = timedelta(minutes=10)
"""A signer this close to its end promises nothing any more."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that may say what has become of one issuer's certificates."""

    key: FileKey = field(repr=False)
    certificate: x509.Certificate
    responder: bytes
    """How its answers name it (`troth.x509.ocsp.responder_id`)."""
    renew_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class _Making:
    """A signer under way; for those who come meanwhile."""

    task: "asyncio.Task[Signer]"
    retry_at: datetime | None = None


class Signers:
    """This worker's signers. `ring` wakes the authority and never blocks; `conclusions` is fed from the journal."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        public_url: str,
        conclusions: Conclusions,
        ring: Callable[[], object],
        threads: Executor,
        wait_s: float = OCSP_SIGNER_WAIT_S_MAX,
    ) -> None:
        self._db = db
        self._clock = clock
        self._public_url = public_url
        self._conclusions = conclusions
        self._ring = ring
        self._threads = threads
        self._wait_s = wait_s
        self._signers: dict[str, Signer] = {}
        self._making: dict[str, _Making] = {}

    def find(self, issuer_id: str) -> Signer | None:
        """Return the issuer's signer, when there is one that need not be renewed yet."""
        signer = self._signers.get(issuer_id)
        return signer if signer is not None and self._clock.now() < signer.renew_at else None

    async def get(self, issuer: Issuer) -> Signer:
        """Return the issuer's signer: certified now when there is none, renewed in the background when it is due.

        Raises `Fault`: unavailable (with `retry_after`) while the authority does not answer; what it refuses with.
        """
        issuer_id, now = issuer.issuer_id, self._clock.now()
        making = self._making.get(issuer_id)
        signer = self._signers.get(issuer_id)
        if signer is not None and now < signer.ends_at - MARGIN:
            if now >= signer.renew_at and self._may_make(making, now):
                self._make(issuer)
            return signer
        if making is None or self._may_make(making, now):
            making = self._make(issuer)
        return await asyncio.shield(making.task)

    def keep_only(self, issuer_ids: Collection[str]) -> None:
        """Forget the signers of every other issuer."""
        for issuer_id in self._signers.keys() - set(issuer_ids):
            del self._signers[issuer_id]

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [making.task for making in self._making.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _may_make(making: _Making | None, now: datetime) -> bool:
        """Not while one is under way, nor right after one has failed."""
        return making is None or (making.retry_at is not None and now >= making.retry_at)

    def _make(self, issuer: Issuer) -> _Making:
        making = _Making(asyncio.create_task(self._certified(issuer), name=f"OCSP signer for {issuer.name}"))
        self._making[issuer.issuer_id] = making

        def made(task: "asyncio.Task[Signer]") -> None:
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                self._signers[issuer.issuer_id] = task.result()
                del self._making[issuer.issuer_id]
                return
            making.retry_at = self._clock.now() + timedelta(seconds=RETRY_S)
            detail = error.detail if isinstance(error, Fault) else None
            log.error("ocsp.signer.failed", issuer=issuer.name, reason=str(error), detail=detail)

        making.task.add_done_callback(made)
        return making

    async def _certified(self, issuer: Issuer) -> Signer:
        loop = asyncio.get_running_loop()
        key, intent_id = await loop.run_in_executor(self._threads, self._begin, issuer)
        self._ring()
        with self._conclusions.awaited(intent_id) as event:
            intent = await loop.run_in_executor(self._threads, self._reread, intent_id)
            if intent.state is IntentState.PREPARED:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s):
                        await event.wait()
        return await loop.run_in_executor(self._threads, self._conclude, intent_id, key)

    def _begin(self, issuer: Issuer) -> tuple[FileKey, str]:
        key = generate(KeyAlgorithm.P256)
        with change(self._db, self._clock, GATEWAY) as changing:
            return key, prepare_signer(changing, issuer, key, self._public_url).intent_id

    def _reread(self, intent_id: str) -> Intent:
        with read(self._db) as connection:
            return get_intent(connection, intent_id)

    def _conclude(self, intent_id: str, key: FileKey) -> Signer:
        with read(self._db) as connection:
            row, renew_at = find_signer(connection, get_intent(connection, intent_id))
        certificate = x509.load_der_x509_certificate(row.der)
        if certificate.public_key() != key.public_key:
            raise Bug("the certificate is another key's")
        return Signer(key, certificate, responder_id(certificate), renew_at, row.not_after)
