"""Signed readings in the gateway: whether a message is one, where a policy asks, and that none counts twice.

Whose keys may sign, and which numbers came, is read when a session opens that needs it, and kept for as long as it is
live. What came is sent to the database in batches, so that a device which returns to another worker finds its row as
it left it. Judging is `troth.evidence.judging`'s; what no policy asks for is never looked at.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog
from cryptography import x509

from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.evidence.judging import ALWAYS, Judge, Judgement, Signer, Standing
from troth.evidence.outcome import Outcome
from troth.evidence.window import Window
from troth.gateway.touching import Key, touched_by
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.policy.actions import Action
from troth.policy.engine import Grant
from troth.protocols.mqtt import Publish
from troth.registry.attachments import PRINCIPAL_ATTACHED, PRINCIPAL_DETACHED
from troth.registry.certificates import CERTIFICATE_ISSUED, CertificateRow, CertificateState
from troth.registry.replay import find_windows, merge_windows
from troth.registry.signers import list_signers
from troth.registry.states import CERTIFICATE_REVOKED
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import PublicKey
from troth.x509.crl import Reason

FLUSH_S: Final = 1.0
_ATTEMPTS: Final = 5
_PUBLISHING: Final = (Action.PUBLISH,)
_RETAINING: Final = (Action.PUBLISH, Action.RETAIN_PUBLISH)

log = structlog.get_logger()


class Checker:
    """Checks the messages of one session. Until it is loaded, and while it is not up to date, it knows no key."""

    __slots__ = ("_readings", "certificate_id", "is_over", "judgement", "signers", "thing")

    def __init__(self, readings: "Readings", certificate_id: str, thing: str | None) -> None:
        self._readings = readings
        self.certificate_id = certificate_id
        self.thing = thing
        self.signers: dict[str, Signer] = {}
        self.is_over = False
        self.judgement: Judgement | None = None
        """What the last message was whose signature was asked for; None when the last one's was not."""

    def allows(self, grant: Grant, packet: Publish) -> bool:
        """Say whether a message is allowed that is not, whatever it says. Looks at it only where that may help."""
        self.judgement = None
        actions = _RETAINING if packet.retain else _PUBLISHING
        topic = packet.topic
        if_signed = [grant.may_if_signed(action, topic) for action in actions]
        if if_signed == [None] * len(actions):
            return False
        judgement = self.judgement = self._readings.judge(self, packet)
        if judgement.outcome.is_proven and None not in if_signed:
            return all(if_signed)
        signed = judgement.outcome.is_proven
        return all(grant.decide(action, topic, message_signed=signed).allowed for action in actions)


class Readings:
    """The readings of all sessions of one worker, in its event loop."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._position = 0
        self._live: dict[Checker, tuple[Key, ...]] = {}
        self._index: dict[Key, set[Checker]] = {}
        self._windows: dict[str, Window] = {}
        self._changed: set[str] = set()
        self._under_way: set[str] = set()
        self._missing: Counter[str] = Counter()
        self._due = asyncio.Event()
        self._stale: set[Checker] = set()
        self._sending = asyncio.Lock()
        self._renewing = asyncio.Lock()

    def checker(self, certificate_id: str, thing: str | None) -> Checker:
        """Return a checker for a session of `thing` with this certificate; `open` it."""
        return Checker(self, certificate_id, thing)

    async def open(self, checker: Checker) -> None:
        """Learn whose keys count and what came, as of now. Raises `Fault` (unavailable)."""
        for _ in range(_ATTEMPTS):
            position, rows, windows = await asyncio.to_thread(self._read, checker)
            # Entries that `apply` was given meanwhile may have touched what this snapshot does not show yet.
            if position >= self._position:
                self._take(checker, rows, windows)
                return
        raise Fault(Kind.UNAVAILABLE, "the registry changes faster than it can be read")

    def open_soon(self, checker: Checker) -> None:
        """Do the same for a session that is live: its policies did not ask until now."""
        self._live[checker] = ()
        self._stale.add(checker)
        self._due.set()

    def close(self, checker: Checker) -> None:
        """The session is over. What it has seen is sent at once: its device may be at another worker already."""
        checker.is_over = True
        self._leave(checker)
        self._stale.discard(checker)
        if not self._changed.isdisjoint(checker.signers):
            self._due.set()
        self._let_go(checker.signers)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take note of journal entries: a key that one touches counts as it does now from this moment on."""
        self._position = entries[-1].number
        for entry in entries:
            for key in _touched(entry):
                for checker in self._index.get(key, ()):
                    if key[1] in checker.signers:
                        _put_out(checker, key[1], entry)
                    self._stale.add(checker)
                    self._due.set()

    def judge(self, checker: Checker, packet: Publish) -> Judgement:
        """Return what a message is, and remember that it came."""
        judging = Judge(checker.signers, self._windows, checker.thing)
        judgement = judging.judge(packet.payload, packet.topic, self._clock.now(), again=packet.dup)
        if judgement.reading is not None and judgement.outcome in _REMEMBERED:
            certificate_id = judgement.reading.certificate_id
            self._changed.add(certificate_id)
            if judgement.missing:
                self._missing[certificate_id] += judgement.missing
        return judgement

    async def run(self) -> None:
        """Send what came, every `FLUSH_S` seconds or when it is due, and renew what is stale; without end."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._due.wait()
            self._due.clear()
            await self.renew()
            await self.flush()

    async def renew(self) -> None:
        """Look up anew what an entry of the journal has touched."""
        async with self._renewing:
            for checker in tuple(self._stale):
                await self._reopen(checker)

    @property
    def kept(self) -> int:
        """How many rows of numbers are kept here."""
        return len(self._windows)

    def is_open(self, certificate_id: str) -> bool:
        """Say whether a live session with this certificate knows whose keys count."""
        return any(each.certificate_id == certificate_id and each.signers for each in self._live)

    async def flush(self) -> None:
        """Send what came since the last time. What the database does not take is sent again."""
        async with self._sending:
            changed, self._changed = self._changed, set()
            missing, self._missing = self._missing, Counter()
            for certificate_id, count in missing.items():
                log.warning("readings.missing", certificate_id=certificate_id, count=count)
            self._under_way = changed
            try:
                if changed:
                    seen = {each: self._windows[each].render() for each in changed}
                    merged = await asyncio.to_thread(merge_windows, self._db, seen, self._clock.now())
                    for certificate_id, window in merged.items():
                        self._windows[certificate_id].merge(window)
            except Fault as fault:
                log.warning("readings.unsent", reason=fault.message, detail=fault.detail)
                self._changed |= changed
            self._under_way = set()
            self._let_go(changed)

    def _let_go(self, certificate_ids: Iterable[str]) -> None:
        """Forget the windows of these that no session uses and that are stored."""
        for each in certificate_ids:
            waits = each in self._changed or each in self._under_way
            if not waits and ("certificate", each) not in self._index:
                self._windows.pop(each, None)

    def _take(self, checker: Checker, rows: Sequence[CertificateRow], windows: Mapping[str, Window]) -> None:
        self._leave(checker)
        if checker.is_over:
            return
        for certificate_id, window in windows.items():
            # What is here may be newer than what is stored.
            self._windows.setdefault(certificate_id, window).merge(window)
        checker.signers = {row.certificate_id: _signer(row, checker.thing) for row in rows}
        keys = {("certificate", each) for each in (*checker.signers, checker.certificate_id)}
        if checker.thing is not None:
            keys.add(("thing", checker.thing))
        self._live[checker] = tuple(keys)
        for key in keys:
            self._index.setdefault(key, set()).add(checker)

    def _leave(self, checker: Checker) -> None:
        for key in self._live.pop(checker, ()):
            self._index[key].discard(checker)
            if not self._index[key]:
                del self._index[key]

    async def _reopen(self, checker: Checker) -> None:
        self._stale.discard(checker)
        if checker in self._live:
            try:
                await self.open(checker)
            except Fault as fault:
                log.warning("readings.unknown", reason=fault.message, detail=fault.detail)
                self._stale.add(checker)

    def _read(self, checker: Checker) -> tuple[int, list[CertificateRow], dict[str, Window]]:
        with read(self._db) as connection:
            position = head(connection)
            rows = list_signers(connection, checker.thing, checker.certificate_id)
            return position, rows, find_windows(connection, [row.certificate_id for row in rows])


_ATTACHING: Final = frozenset({PRINCIPAL_ATTACHED, PRINCIPAL_DETACHED, CERTIFICATE_ISSUED})
_REMEMBERED: Final = frozenset({Outcome.VERIFIED, Outcome.MISSING, Outcome.REORDERED})


def _touched(entry: Entry) -> set[Key]:
    """Return what an entry changes of whose keys count: also that a thing has one more, or one less."""
    keys = set(touched_by(entry))
    if entry.kind in _ATTACHING and entry.data.get("thing") is not None:
        keys.add(("thing", str(entry.data["thing"])))
    return keys


def _put_out(checker: Checker, certificate_id: str, entry: Entry) -> None:
    """Let a key count for nothing until it has been looked up again."""
    was = checker.signers[certificate_id]
    standing = Standing.REVOKED if entry.kind == CERTIFICATE_REVOKED else Standing.INACTIVE
    checker.signers[certificate_id] = Signer(
        certificate_id, was.thing, was.key, was.not_before, was.not_after, ((ALWAYS, standing),)
    )


def _signer(row: CertificateRow, thing: str | None) -> Signer:
    key = x509.load_der_x509_certificate(row.der).public_key()
    assert isinstance(key, PublicKey), "it was let in with it"
    return Signer(row.certificate_id, thing, key, row.not_before, row.not_after, _history(row))


def _history(row: CertificateRow) -> tuple[tuple[datetime, Standing], ...]:
    if row.state is CertificateState.ACTIVE:
        return ((ALWAYS, Standing.IN_FORCE),)
    if row.state is CertificateState.REVOKED:
        return ((ALWAYS, Standing.REVOKED),)
    if row.state is CertificateState.INACTIVE and row.reason == Reason.SUPERSEDED.value:
        # What a device signed before its renewal, and could not send, still counts.
        return ((ALWAYS, Standing.IN_FORCE), (row.changed_at, Standing.SUPERSEDED))
    return ((ALWAYS, Standing.INACTIVE),)
