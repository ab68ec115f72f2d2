"""What the gateway tells people: log lines at once, decisions soon, and counts and sessions in one batch a second.

Nothing hangs on any of it: what cannot be written in time is dropped, the oldest first, and how much is told.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from troth.clock import Clock
from troth.errors import Fault
from troth.gateway.presence import Presence
from troth.gateway.refusal import PAST_A_BOUND, Reason, Refusal
from troth.gateway.tellings import Tellings
from troth.limits import REPORT_ROWS_MAX, Limits
from troth.policy.actions import Action
from troth.policy.decision import Outcome
from troth.registry import decisions, sessions
from troth.registry.decisions import DecisionKey, DecisionRow
from troth.registry.measures import Measures
from troth.registry.sessions import SessionRow
from troth.store.connect import Database
from troth.tls.reasons import HandshakeFailure

FLUSH_S: Final = 1.0
DENIAL_FLUSH_S: Final = 0.25
"""How long there is between two batches at least: a denial can be listed as soon as somebody who saw it asks why."""
LEASE: Final = timedelta(seconds=15)
"""How long a worker's sessions count without a word from it."""
_RENEWED_EVERY: Final = LEASE / 3

HANDSHAKE: Final = "tls:Handshake"
"""The action that a failed handshake is counted and listed under."""
STAY: Final = "mqtt:Stay"
"""The action that a connection is counted and listed under which is ended because it went past a bound."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Who:
    """What is known of a connection so far, in every line and row about it."""

    connection: str
    address: str
    """``host:port`` of the peer."""
    certificate_id: str | None = None
    thing: str | None = None
    client_id: str | None = None
    is_exclusive: bool = False
    """The certificate stands for the thing whatever the client id is."""


class Report:
    """All that one worker has to tell. `run` sends it; everything else only takes note.

    Who is not let in is always counted, and logged and listed no more than so often between two batches.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        worker: str,
        limits: Limits,
        presence: Presence | None = None,
        measure: Callable[[], Measures] = Measures,
    ) -> None:
        """`presence` tells consumers who comes and goes, `measure` what was carried; without them nobody is told."""
        self._db = db
        self._clock = clock
        self._worker = worker
        self._presence = presence
        self._measure = measure
        self._rows_kept_max = limits.decision_rows_max
        self._rows: deque[DecisionRow] = deque()
        self._counts: Counter[DecisionKey] = Counter()
        self._dropped = 0
        self._tellings = Tellings()
        self._sessions: dict[str, SessionRow] = {}
        self._opened: dict[str, SessionRow] = {}
        self._closed: list[str] = []
        self._known = False
        self._renew_at: datetime | None = None
        self._sending = asyncio.Lock()
        self._has_rows = asyncio.Event()

    # What happens.

    def handshake_failed(self, who: Who, listener: str, reason: HandshakeFailure, detail: str) -> None:
        """A peer did not come through the TLS handshake at the door `listener`."""
        self._counts[DecisionKey(HANDSHAKE, Outcome.IMPLICIT_DENY, reason.value)] += 1
        if not self._tellings.take():
            return
        log.warning(
            "handshake.failed",
            connection=who.connection,
            peer=who.address,
            listener=listener,
            reason=reason.value,
            detail=detail,
        )
        self._row(who, HANDSHAKE, listener, Outcome.IMPLICIT_DENY, f"{reason.value}: {detail}")

    def refused(self, who: Who, refusal: Refusal) -> None:
        """A peer came through the handshake and was not let in."""
        self._counts[DecisionKey(refusal.action, refusal.outcome, refusal.reason.value)] += 1
        if self._presence is not None:
            self._presence.refused(who, refusal)
        if not self._tellings.take():
            return
        self._log("connection.refused", who, refusal.action, refusal.resource, refusal.reason, refusal.detail)
        why = f"{refusal.reason.value}: {refusal.detail}" if refusal.detail else refusal.reason.value
        self._row(who, refusal.action, refusal.resource, refusal.outcome, why)

    def allowed(self, action: str, count: int = 1) -> None:
        """`count` requests for `action` were allowed."""
        self._counts[DecisionKey(action, Outcome.ALLOW, "")] += count

    def denied(self, event: str, who: Who, action: str, resource: str, outcome: str, reason: str, detail: str) -> None:
        """A request was denied, and is logged as `event`; `reason` is a fixed word, `detail` who decided it."""
        self._log(event, who, action, resource, reason, detail)
        self._row(who, action, resource, outcome, f"{reason}: {detail}" if detail else reason)

    def counted(self, action: str, outcome: str, reason: str, count: int) -> None:
        """`count` requests came out so; denials are counted here beside `denied`, which not all of them reach."""
        self._counts[DecisionKey(action, outcome, reason)] += count

    def opened(self, who: Who) -> None:
        """A session is live: its CONNECT was allowed."""
        assert who.certificate_id is not None
        assert who.client_id is not None
        self.allowed(Action.CONNECT)
        row = SessionRow(
            self._worker, who.connection, who.certificate_id, who.thing, who.client_id, who.address, self._clock.now()
        )
        self._sessions[who.connection] = row
        self._opened[who.connection] = row
        if self._presence is not None:
            self._presence.connected(who, row.since)

    def closed(self, who: Who, reason: Reason, detail: str, *, ours: bool) -> None:
        """A connection that came through the handshake has ended; `ours` says that we ended it."""
        write = log.info if ours else log.debug
        write(
            "session.closed",
            connection=who.connection,
            peer=who.address,
            certificate_id=who.certificate_id,
            thing=who.thing,
            client_id=who.client_id,
            reason=reason.value,
            detail=detail,
        )
        if reason in PAST_A_BOUND:
            self._counts[DecisionKey(STAY, Outcome.IMPLICIT_DENY, reason.value)] += 1
            told = f"{reason.value}: {detail}" if detail else reason.value
            self._row(who, STAY, f"client/{who.client_id}", Outcome.IMPLICIT_DENY, told)
        row = self._sessions.pop(who.connection, None)
        if row is None:
            return
        if self._opened.pop(who.connection, None) is None:
            self._closed.append(who.connection)
        if self._presence is not None:
            self._presence.disconnected(who, row.since, reason)

    def subscribed(self, who: Who, topic_filters: Sequence[str]) -> None:
        """A session was granted these filters."""
        if self._presence is not None and topic_filters:
            self._presence.subscribed(who, topic_filters)

    def unsubscribed(self, who: Who, topic_filters: Sequence[str]) -> None:
        """A session has let these filters go, or lost them."""
        if self._presence is not None and topic_filters:
            self._presence.unsubscribed(who, topic_filters)

    # How it is sent.

    async def run(self) -> None:
        """Send what there is, every `FLUSH_S` seconds and sooner if something was denied, without end."""
        while True:
            await asyncio.sleep(DENIAL_FLUSH_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S - DENIAL_FLUSH_S):
                    await self._has_rows.wait()
            await self.flush()

    async def flush(self) -> None:
        """Send what there is now. What the database does not take is kept within bounds and sent again."""
        async with self._sending:
            await self._flush_decisions()
            await self._flush_sessions()

    async def close(self) -> None:
        """Send the last of it, and take this worker's sessions off the list."""
        await self.flush()
        try:
            await asyncio.to_thread(sessions.drop_worker, self._db, self._worker)
        except Fault as fault:
            log.warning("report.unsent", reason=fault.message, detail=fault.detail)

    async def _flush_decisions(self) -> None:
        self._tellings.begin_anew()
        rows, counts, dropped = list(self._rows), self._counts, self._dropped
        self._rows.clear()
        self._has_rows.clear()
        self._counts = Counter()
        self._dropped = 0
        if dropped:
            log.warning("decisions.dropped", count=dropped)
        try:
            if rows or counts:
                await asyncio.to_thread(decisions.append, self._db, rows, counts, self._rows_kept_max)
        except Fault as fault:
            log.warning("report.unsent", reason=fault.message, detail=fault.detail)
            self._counts.update(counts)
            self._keep(rows)

    async def _flush_sessions(self) -> None:
        now = self._clock.now()
        due = self._renew_at is None or now >= self._renew_at
        if not (due or self._opened or self._closed):
            return
        opened, closed = list(self._opened.values()), self._closed
        self._opened, self._closed = {}, []
        known, self._known = self._known, False
        # Until the database has said yes, the next attempt sends them all.
        everything = list(self._sessions.values())
        try:
            self._known = await asyncio.to_thread(self._send_sessions, known, now + LEASE, everything, opened, closed)
            self._renew_at = now + _RENEWED_EVERY
        except Fault as fault:
            self._renew_at = None
            log.warning("report.unsent", reason=fault.message, detail=fault.detail)

    def _send_sessions(
        self,
        known: bool,
        lease_until: datetime,
        everything: Sequence[SessionRow],
        opened: Sequence[SessionRow],
        closed: Sequence[str],
    ) -> bool:
        measures = self._measure()
        if not (known and sessions.update_sessions(self._db, self._worker, lease_until, opened, closed, measures)):
            sessions.replace_sessions(self._db, self._worker, lease_until, everything, measures)
        return True

    def _log(self, event: str, who: Who, action: str, resource: str, reason: str, detail: str | None) -> None:
        log.warning(
            event,
            connection=who.connection,
            peer=who.address,
            certificate_id=who.certificate_id,
            thing=who.thing,
            client_id=who.client_id,
            action=action,
            resource=resource,
            reason=reason,
            detail=detail,
        )

    def _row(self, who: Who, action: str, resource: str, outcome: str, reason: str) -> None:
        self._keep(
            [
                DecisionRow(
                    at=self._clock.now(),
                    worker=self._worker,
                    connection=who.connection,
                    address=who.address,
                    certificate_id=who.certificate_id,
                    thing=who.thing,
                    client_id=who.client_id,
                    action=action,
                    resource=resource,
                    outcome=outcome,
                    reason=reason,
                )
            ]
        )
        self._has_rows.set()

    def _keep(self, rows: Sequence[DecisionRow]) -> None:
        self._rows.extend(rows)
        while len(self._rows) > REPORT_ROWS_MAX:
            self._rows.popleft()
            self._dropped += 1
