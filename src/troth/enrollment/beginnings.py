"""From claims and requests to committed intents: all who come together in one change, each for itself in the end.

Who is refused is refused alone: where that shows only after something was written, the change is undone, and made again
without them. Blocks; knows no event loop.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from troth.authority.intents import Intent
from troth.authority.issue import Wanted, prepare_many
from troth.clock import Clock
from troth.enrollment.limits import Given, count
from troth.enrollment.newcomers import admit
from troth.enrollment.proofs.claim import Claim, Proof
from troth.enrollment.requests import file_request
from troth.enrollment.wishes import check_wishes
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change, change
from troth.limits import ISSUANCES_PER_ISSUER_PER_HOUR_MAX
from troth.points import Point, reached
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.requests import Request

ACTOR: Final = "system:enrollment"
"""Who makes a change that belongs to several devices; what each has done in it is recorded under its own name."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for a person: the same one again finds what was decided."""

    request_id: str
    thing: str
    retry_after: float
    """Seconds until it is worth asking again."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A committed intent, which the authority will come to."""

    thing: str
    intent_id: str
    is_new: bool
    """Whether it was committed just now; False for what the same request has led to before."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A claim, and the request that it is made for. Equal to itself alone."""

    claim: Claim
    request: Request


@dataclass(frozen=True, slots=True)
class Proven:
    """What was found proven before anything was written."""

    asked: Asked
    thing: str


Outcome = Begun | Waiting | Exception


class _Undone(Exception):
    """The change must not be committed: these have failed after something was written for them."""

    def __init__(self, failed: Mapping[Asked, Exception]) -> None:
        self.failed = failed


class Beginnings:
    """Begins enrollments at a database. Threads may share it."""

    def __init__(self, db: Database, clock: Clock, public_url: str) -> None:
        self._db = db
        self._clock = clock
        self._public_url = public_url

    def take(self, asked: Sequence[Asked]) -> list[Outcome]:
        """Return what came of each: looked at first, and begun where something is proven."""
        looked = self.look(asked)
        begun = iter(self.begin([each for each in looked if isinstance(each, Proven)]))
        return [next(begun) if isinstance(each, Proven) else each for each in looked]

    def look(self, asked: Sequence[Asked]) -> list[Proven | Outcome]:
        """Return what each can prove now, or has led to before, or why it is refused; write nothing.

        Whoever proves nothing is turned away so, without a turn at the one writer of the database.
        """
        at = self._clock.now()
        with read(self._db) as connection:
            looked: list[Proven | Outcome] = []
            for each in asked:
                try:
                    proof = each.claim.prove(connection, at, each.request)
                    check_wishes(each.request, proof.thing, proof.alternative_names, proof.subject)
                    looked.append(_found(proof) or Proven(each, proof.thing))
                except Exception as error:  # what breaks our own code breaks it for none of the others
                    looked.append(error)
            return looked

    def begin(self, proven: Sequence[Proven]) -> list[Outcome]:
        """Prove each again, where that holds until the commit, and record its intent. Return what came of each.

        Things come in the order of their names, so that two processes never wait for each other; each comes once in a
        change, so that what one request has spent is spent for the next.
        """
        outcomes: dict[Asked, Outcome] = {}
        left = sorted(proven, key=lambda each: each.thing)
        while left:
            outcomes |= self._begin([each.asked for each in left])
            left = [each for each in left if each.asked not in outcomes]
        return [outcomes[each.asked] for each in proven]

    def _begin(self, asked: Sequence[Asked]) -> Mapping[Asked, Outcome]:
        if not asked:
            return {}
        try:
            return self._begin_in_one_change(asked)
        except _Undone as undone:
            rest = [each for each in asked if each not in undone.failed]
            again = {each: self._begin_alone(each) for each, fault in undone.failed.items() if _may_pass(fault)}
            return {**undone.failed, **again, **self._begin(rest)}
        except Exception as error:
            if isinstance(error, Fault) and error.kind is Kind.UNAVAILABLE:
                return dict.fromkeys(asked, error)
            return {each: self._begin_alone(each) for each in asked}

    def _begin_alone(self, asked: Asked) -> Outcome:
        outcome: Outcome = Bug("nothing was tried")
        for _ in range(2):
            try:
                return self._begin_in_one_change([asked])[asked]
            except _Undone as undone:
                outcome = undone.failed[asked]
            except Exception as error:
                outcome = error
            if not _may_pass(outcome):
                break
        return outcome

    def _begin_in_one_change(self, asked: Sequence[Asked]) -> Mapping[Asked, Outcome]:
        """Return what came of each; nothing of those whose thing comes in this change before them.

        Raises `_Undone`, and `Fault` as a change does.
        """
        with change(self._db, self._clock, ACTOR) as changing:
            outcomes, held = _hold(changing, asked)
            outcomes |= _file(changing, held)
            intended = self._intend(changing, {each: proof for each, proof in held.items() if each not in outcomes})
            outcomes |= {each: fault for each, fault in intended.items() if isinstance(fault, Fault)}
            begun = {each: intent for each, intent in intended.items() if isinstance(intent, Intent)}
            _require_bounds(changing, [(each, held[each], intent) for each, intent in begun.items()])
            for each, intent in begun.items():
                proof = held[each]
                try:
                    each.claim.spend(_acting(changing, proof), proof, intent.intent_id)
                except Fault as fault:
                    raise _Undone({each: fault}) from fault
                outcomes[each] = Begun(proof.thing, intent.intent_id, is_new=True)
            if begun:
                reached(Point.PROOF_SPENT)
        return outcomes

    def _intend(self, changing: Change, held: Mapping[Asked, Proof]) -> dict[Asked, Intent | Fault]:
        """Make the things that are new, and record the intents. Raises `_Undone`."""
        failed: dict[Asked, Exception] = {}
        for each, proof in held.items():
            if proof.newcomer is not None:
                try:
                    admit(_acting(changing, proof), proof.thing, proof.newcomer)
                except Fault as fault:
                    failed[each] = fault
        if failed:
            raise _Undone(failed)
        intents = prepare_many(changing, [_wanted(each, proof) for each, proof in held.items()], self._public_url)
        outcomes = dict(zip(held, intents, strict=True))
        # The thing of one who is refused now must not have been made.
        failed |= {
            each: outcome
            for each, outcome in outcomes.items()
            if isinstance(outcome, Fault) and held[each].newcomer is not None
        }
        if failed:
            raise _Undone(failed)
        return outcomes


def _may_pass(outcome: Outcome) -> bool:
    """Say whether another has only come first, on another host perhaps: what it has made can be looked at now."""
    return isinstance(outcome, Fault) and outcome.kind is Kind.CONFLICT


def _hold(changing: Change, asked: Iterable[Asked]) -> tuple[dict[Asked, Outcome], dict[Asked, Proof]]:
    """Return what came already of those who are refused or have come before, and the proofs of the others, held."""
    outcomes: dict[Asked, Outcome] = {}
    held: dict[Asked, Proof] = {}
    things: set[str] = set()
    for each in asked:
        try:
            proof = each.claim.prove(changing.connection, changing.at, each.request, lock=True)
        except Fault as fault:
            outcomes[each] = fault
            continue
        found = _found(proof)
        if found is not None:
            outcomes[each] = found
        elif proof.thing not in things:
            things.add(proof.thing)
            held[each] = proof
    return outcomes, held


def _file(changing: Change, held: Mapping[Asked, Proof]) -> dict[Asked, Outcome]:
    """Put before a person what must wait for one. Raises `_Undone`."""
    filed: dict[Asked, Outcome] = {}
    for each, proof in held.items():
        if proof.approval is not None:
            try:
                request_id = file_request(_acting(changing, proof), proof, proof.approval, each.request)
            except Fault as fault:
                raise _Undone({each: fault}) from fault
            filed[each] = Waiting(request_id, proof.thing, proof.approval.retry_after)
    return filed


def _require_bounds(changing: Change, begun: Sequence[tuple[Asked, Proof, Intent]]) -> None:
    """Count what is given. Raises `_Undone` with all who ask for one too many."""
    counted = [
        (each, Given(proof.definition, proof.thing, proof.address, intent.issuer_id))
        for each, proof, intent in begun
        if proof.definition is not None
    ]
    if not counted:
        return
    faults = count(changing, [given for _, given in counted], ISSUANCES_PER_ISSUER_PER_HOUR_MAX)
    failed = {each: fault for (each, _), fault in zip(counted, faults, strict=True) if fault is not None}
    if failed:
        raise _Undone(failed)


def _acting(changing: Change, proof: Proof) -> Change:
    return changing.acting_for(f"device:{proof.thing}")


def _wanted(asked: Asked, proof: Proof) -> Wanted:
    return Wanted(
        proof.profile,
        asked.request,
        proof.method,
        proof.evidence,
        thing=proof.thing,
        alternative_names=proof.alternative_names,
        actor=f"device:{proof.thing}",
    )


def _found(proof: Proof) -> Begun | Waiting | None:
    """Return what the proof has led to before, with this very request."""
    if proof.intent_id is not None:
        return Begun(proof.thing, proof.intent_id, is_new=False)
    if proof.approval is not None and proof.approval.request_id is not None:
        return Waiting(proof.approval.request_id, proof.thing, proof.approval.retry_after)
    return None
