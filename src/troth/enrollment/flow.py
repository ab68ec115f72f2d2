"""From a claim and a request to a certificate: one change, a ring, and the wait for the authority's conclusion.

Those who ask at about the same time share the change and the looks at the database. Knows no protocol and no way of
proving anything: `troth.enrollment.proofs` does. The same claim with the same request finds what it has led to before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography import x509

from troth.clock import Clock
from troth.enrollment.beginnings import Asked, Beginnings, Begun, Waiting
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.outcomes import RETRY_AFTER_S, Outcomes
from troth.enrollment.proofs.claim import Claim, not_proven
from troth.enrollment.together import Together
from troth.errors import Fault, Kind
from troth.limits import ENROLLMENTS_PENDING_MAX, ENROLLMENTS_PER_CHANGE_MAX
from troth.points import Point, reached
from troth.registry.certificates import CertificateRow, CertificateState
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.requests import Request

__all__ = ["Enrolled", "Enrollment", "Waiting"]

PAUSE_S: Final = 0.02
"""From the end of one change of a worker to the next: when many come, more of them share it."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A thing with its certificate."""

    thing: str
    certificate: x509.Certificate
    intent_id: str


class Enrollment:
    """Enrolls those who can prove who they are. One for each process, in its event loop.

    `ring` wakes the authority and never blocks; `wait_s` is how long who asks is kept waiting for it. `conclusions`
    must be fed from the journal for as long as this is used.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        public_url: str,
        conclusions: Conclusions,
        ring: Callable[[], object],
        wait_s: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ring = ring
        self._pending = 0
        self._outcomes = Outcomes(db, conclusions, wait_s, "enrollment")
        beginnings = Beginnings(db, clock, public_url)
        self._beginnings: Together[Asked, Begun | Waiting] = Together(
            partial(self._begin, beginnings), ENROLLMENTS_PER_CHANGE_MAX, PAUSE_S
        )

    def close(self) -> None:
        """End the threads; what is under way in them is waited for."""
        self._outcomes.close()

    async def enroll(self, claim: Claim, request: Request) -> Enrolled | Waiting:
        """Return the certificate for the key of `request`, for the thing that `claim` proves; or what it waits for.

        Raises `Fault`: unauthenticated (nothing is proven), rejected, bad key and the like (what is asked for cannot be
        had), unavailable (with `retry_after`: the same claim and request find the answer later).
        """
        if self._pending >= ENROLLMENTS_PENDING_MAX:
            raise Fault(Kind.UNAVAILABLE, "too many enrollments are under way", retry_after=RETRY_AFTER_S)
        self._pending += 1
        try:
            begun = await self._beginnings.do(Asked(claim, request))
            if isinstance(begun, Waiting):
                return begun
            return _enrolled(begun, await self._outcomes.issued(begun.intent_id, is_new=begun.is_new))
        finally:
            self._pending -= 1

    async def require_proven(self, claim: Claim, request: Request) -> None:
        """Return if the claim holds for the request now, and record nothing. Raises `Fault` as `enroll` does."""
        await self._outcomes.in_thread(self._look, claim, request)

    async def run(self, work: Callable[[Database, Clock], None]) -> None:
        """Do some work at the database that belongs to an enrollment. Raises what it raises."""
        await self._outcomes.in_thread(work, self._db, self._clock)

    async def _begin(self, beginnings: Beginnings, asked: Sequence[Asked]) -> list[Begun | Waiting | Exception]:
        begun = await self._outcomes.in_thread(beginnings.take, asked)
        if any(isinstance(each, Begun) and each.is_new for each in begun):
            reached(Point.BEGUN)
            self._ring()
        return begun

    def _look(self, claim: Claim, request: Request) -> None:
        with read(self._db) as connection:
            claim.prove(connection, self._clock.now(), request)


def _enrolled(begun: Begun, row: CertificateRow) -> Enrolled:
    if row.state is not CertificateState.ACTIVE:
        raise not_proven(f"certificate {row.certificate_id} is {row.state.lower()}")
    reached(Point.CONCLUDED)
    return Enrolled(begun.thing, x509.load_der_x509_certificate(row.der), begun.intent_id)
