"""From a claim and a request to a certificate: one change, a ring, and the wait for the authority's conclusion.

Knows no protocol and no way of proving anything: `troth.enrollment.proofs` does. The same claim with the same request
finds what it has led to before.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from troth.authority.intents import Intent
from troth.authority.issue import prepare
from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.newcomers import admit
from troth.enrollment.outcomes import RETRY_AFTER_S, Outcomes, issued
from troth.enrollment.proofs.claim import Claim, Proof, not_proven
from troth.enrollment.requests import file_request
from troth.enrollment.wishes import check_wishes
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import ENROLLMENTS_PENDING_MAX
from troth.points import Point, reached
from troth.registry.certificates import CertificateState
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.requests import Request


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A thing with its certificate."""

    thing: str
    certificate: x509.Certificate
    intent_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for a person: the same one again finds what was decided."""

    request_id: str
    thing: str
    retry_after: float
    """Seconds until it is worth asking again."""


@dataclass(frozen=True, slots=True)
class _Begun:
    thing: str
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
        self._public_url = public_url
        self._ring = ring
        self._pending = 0
        self._outcomes = Outcomes(db, conclusions, wait_s, "enrollment")

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
            begun = await self._outcomes.in_thread(self._begin, claim, request)
            if isinstance(begun, Waiting):
                return begun
            reached(Point.BEGUN)
            self._ring()
            intent = await self._outcomes.concluded(begun.intent_id)
            return await self._outcomes.in_thread(self._answer, begun.thing, intent)
        finally:
            self._pending -= 1

    async def require_proven(self, claim: Claim, request: Request) -> None:
        """Return if the claim holds for the request now, and record nothing. Raises `Fault` as `enroll` does."""
        await self._outcomes.in_thread(self._look, claim, request)

    async def run(self, work: Callable[[Database, Clock], None]) -> None:
        """Do some work at the database that belongs to an enrollment. Raises what it raises."""
        await self._outcomes.in_thread(work, self._db, self._clock)

    def _look(self, claim: Claim, request: Request) -> Proof:
        with read(self._db) as connection:
            return claim.prove(connection, self._clock.now(), request)

    def _begin(self, claim: Claim, request: Request) -> _Begun | Waiting:
        try:
            return self._begin_once(claim, request)
        except Fault as fault:
            if fault.kind is not Kind.CONFLICT:
                raise
        # Another request has made the same thing at the same moment: now it is there to be looked at.
        return self._begin_once(claim, request)

    def _begin_once(self, claim: Claim, request: Request) -> _Begun | Waiting:
        # Whoever proves nothing is turned away without a turn at the one writer of the database.
        proof = self._look(claim, request)
        check_wishes(request, proof.thing, proof.alternative_names, proof.subject)
        found = _found(proof)
        if found is not None:
            return found
        with change(self._db, self._clock, f"device:{proof.thing}") as changing:
            proof = claim.prove(changing.connection, changing.at, request, lock=True)
            found = _found(proof)
            if found is not None:
                return found
            if proof.approval is not None:
                request_id = file_request(changing, proof, proof.approval, request)
                return Waiting(request_id, proof.thing, proof.approval.retry_after)
            if proof.newcomer is not None:
                admit(changing, proof.thing, proof.newcomer)
            intent = prepare(
                changing,
                profile=proof.profile,
                request=request,
                thing=proof.thing,
                alternative_names=proof.alternative_names,
                method=proof.method,
                proof=proof.evidence,
                public_url=self._public_url,
            )
            claim.spend(changing, proof, intent.intent_id)
            reached(Point.PROOF_SPENT)
        return _Begun(proof.thing, intent.intent_id)

    def _answer(self, thing: str, intent: Intent) -> Enrolled:
        row = issued(self._db, intent)
        if row.state is not CertificateState.ACTIVE:
            raise not_proven(f"certificate {row.certificate_id} is {row.state.lower()}")
        reached(Point.CONCLUDED)
        return Enrolled(thing, x509.load_der_x509_certificate(row.der), intent.intent_id)


def _found(proof: Proof) -> "_Begun | Waiting | None":
    """Return what the proof has led to before, with this very request."""
    if proof.intent_id is not None:
        return _Begun(proof.thing, proof.intent_id)
    if proof.approval is not None and proof.approval.request_id is not None:
        return Waiting(proof.approval.request_id, proof.thing, proof.approval.retry_after)
    return None
