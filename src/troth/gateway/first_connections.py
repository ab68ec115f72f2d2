"""Those who come to a door with a certificate of a registered CA that nobody has met: let through the handshake, met,
and told to come again.

What becomes of them `troth.enrollment.jit` decides; nobody is served before the certificate is ACTIVE and looked up.
AWS IoT developer guide, "Just-in-time registration" and "Just-in-time provisioning".
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog
from cryptography import x509

from troth.clock import Clock
from troth.enrollment.jit import FirstMet, meet, waits
from troth.errors import Fault, Kind
from troth.gateway.http.attempts import FailedAttempts
from troth.gateway.refusal import Reason, Refusal
from troth.gateway.strangers import Strangers, tells_of_strangers
from troth.journal.record import Entry
from troth.limits import PENDING_TOLD_AGAIN_S_MIN, PENDING_TOLD_KEPT_MAX, Limits
from troth.names import Realm
from troth.policy.actions import Action
from troth.registry.certificates import CertificateRow, CertificateState
from troth.store.connect import Database
from troth.tls.server import PeerTLS, ServerTLS
from troth.x509.certificates import certificate_id

TOPIC: Final = "$aws/events/certificates/registered/"
"""With the CA's certificate id behind: where it is told of certificates that wait to be activated."""
RETRY_S: Final = 1.0
_THREADS: Final = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stranger:
    """The far end of a handshake that was let through although no CA of ours has issued its certificate."""

    certificate: x509.Certificate
    host: str


def stranger_of(peer: PeerTLS, host: str) -> Stranger | None:
    """Return a peer as a stranger; None for one whose certificate an issuer of ours has signed."""
    return Stranger(peer.certificate, host) if peer.is_stranger and peer.certificate is not None else None


class FirstConnections:
    """All such of one worker, in its event loop. `publish` takes a topic and a payload, and never waits."""

    def __init__(
        self, db: Database, clock: Clock, realm: Realm, limits: Limits, publish: Callable[[str, bytes], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._realm = realm
        self._limits = limits
        self._publish = publish
        self._strangers = Strangers(db, clock)
        self._attempts = FailedAttempts(clock)
        self._told: OrderedDict[str, datetime] = OrderedDict()
        self._due = asyncio.Event()
        # Threads of its own: a crowd that comes for the first time must keep nobody else waiting.
        self._threads = ThreadPoolExecutor(_THREADS, "first connections")

    def door(self, server_tls: ServerTLS) -> ServerTLS:
        """Return the same with a way in for those who have a certificate of a registered CA."""
        return replace(server_tls, knows_stranger=self._strangers.may_connect)

    async def start(self) -> None:
        """Learn which CAs there are. Raises `Fault` (unavailable)."""
        await asyncio.to_thread(self._strangers.load)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take note of journal entries."""
        if tells_of_strangers(entries):
            self._due.set()

    async def run(self) -> None:
        """Learn of CAs whenever the journal has told of them, without end."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await asyncio.to_thread(self._strangers.load)
            except Fault as fault:
                log.error("registry.unreadable", reason=fault.message, detail=fault.detail)
                self._due.set()
                await asyncio.sleep(RETRY_S)

    def close(self) -> None:
        """End the threads; what is under way in them is waited for."""
        self._threads.shutdown()

    async def greet(self, stranger: Stranger) -> Refusal:
        """Meet one whose certificate is not known, or not active yet, and return what it is told."""
        identity = certificate_id(stranger.certificate)
        if self._attempts.wait_s(stranger.host) > 0:
            return _refusal(Reason.TOO_MANY_ATTEMPTS, identity)
        try:
            met = await asyncio.get_running_loop().run_in_executor(self._threads, self._meet, stranger)
        except Fault as fault:
            return self._refused(stranger, identity, fault)
        if waits(met.certificate):
            self._tell(met.certificate)
            return _refusal(Reason.CERTIFICATE_PENDING, identity)
        if met.certificate.state is CertificateState.ACTIVE:
            log.info("first_connection.provisioned", certificate_id=identity, thing=met.thing, peer=stranger.host)
            return _refusal(Reason.JUST_REGISTERED, identity)
        return _refusal(Reason.CERTIFICATE_INACTIVE, identity)

    def _meet(self, stranger: Stranger) -> FirstMet:
        return meet(self._db, self._clock, self._limits, stranger.certificate, stranger.host)

    def _refused(self, stranger: Stranger, identity: str, fault: Fault) -> Refusal:
        detail = fault.detail or fault.message
        log.warning(
            "first_connection.refused",
            certificate_id=identity,
            peer=stranger.host,
            kind=fault.kind.value,
            reason=detail,
            hint=fault.hint,
        )
        if fault.kind is Kind.UNAVAILABLE:
            return _refusal(Reason.STATE_UNKNOWN, identity, detail)
        self._attempts.failed(stranger.host)
        if fault.kind is Kind.RATE_LIMITED:
            return _refusal(Reason.TOO_MANY_ATTEMPTS, identity, detail)
        return _refusal(Reason.UNKNOWN_CERTIFICATE, identity, detail)

    def _tell(self, row: CertificateRow) -> None:
        """Publish that a certificate waits, as AWS does at each of its connections; here not more than so often."""
        now = self._clock.now()
        last = self._told.get(row.certificate_id)
        if last is not None and 0 <= (now - last).total_seconds() < PENDING_TOLD_AGAIN_S_MIN:
            return
        self._told.pop(row.certificate_id, None)
        self._told[row.certificate_id] = now
        if len(self._told) > PENDING_TOLD_KEPT_MAX:
            self._told.popitem(last=False)
        log.info("first_connection.waits", certificate_id=row.certificate_id, issuer_id=row.issuer_id)
        self._publish(TOPIC + row.issuer_id, render_registered(row, now, self._realm))


def render_registered(row: CertificateRow, now: datetime, realm: Realm) -> bytes:
    """Return the event that a certificate waits to be activated, with AWS's fields; times in milliseconds."""
    fields = {
        "certificateId": row.certificate_id,
        "caCertificateId": row.issuer_id,
        "timestamp": _milliseconds(now),
        "certificateStatus": row.state.value,
        "awsAccountId": realm.account,
        "certificateRegistrationTimestamp": _milliseconds(row.created_at),
    }
    return json.dumps(fields, separators=(",", ":")).encode()


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _refusal(reason: Reason, identity: str, detail: str | None = None) -> Refusal:
    return Refusal(reason, action=Action.CONNECT, resource=f"certificate/{identity}", detail=detail)
