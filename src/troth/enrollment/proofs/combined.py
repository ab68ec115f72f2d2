"""The claim of one who comes to an enrollment: all of its proofs hold together, of one thing, or nothing is proven.

Also here: the thing's name where no proof gives it, whose the thing is, a person's approval, and the bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from troth.authority.intents import Intent, IntentState, find_requested
from troth.authority.issue import KEY_PROTECTION
from troth.enrollment.definitions import Definition, Way
from troth.enrollment.enrollments import get_enrollment
from troth.enrollment.newcomers import find_binding, require_own
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.certificate_way import CertificateWay
from troth.enrollment.proofs.claim import Approval, Newcomer, Proof, not_proven
from troth.enrollment.proofs.claim_certificate import ClaimCertificateWay
from troth.enrollment.proofs.foreign import ForeignWay
from troth.enrollment.proofs.token_way import TokenWay
from troth.enrollment.proofs.way import MakesWay, ProvingWay, Shown
from troth.enrollment.requests import RequestState, fetch_request, find_request, is_over
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.names import parse_thing_name
from troth.registry.certificates import find_certificate
from troth.registry.things import find_thing
from troth.x509.requests import Request
from troth.x509.times import has_ended

_WAYS: Final[Mapping[Way, MakesWay]] = {
    Way.TOKEN: TokenWay,
    Way.IDEVID: partial(ForeignWay, Way.IDEVID),
    Way.CUSTOMER_CA: partial(ForeignWay, Way.CUSTOMER_CA),
    Way.CLAIM: ClaimCertificateWay,
    Way.CERTIFICATE: CertificateWay,
}
"""All but approval, which comes when the others hold."""
_IN_PERSON: Final = frozenset((Way.TOKEN, Way.CERTIFICATE, Way.APPROVAL))
"""Proofs that were made for one thing, and end with it: they may enroll it again, under another key or credential."""


@dataclass(frozen=True, slots=True)
class EnrollmentClaim:
    """What was presented, to the enrollment of its label."""

    presented: Presented

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool = False) -> Proof:
        """Return what is proven. See `Claim.prove`. Raises `Fault` (not found) too, for a label without enrollment."""
        definition = self._definition(connection)
        if definition.linked and not self.presented.is_linked:
            raise not_proven("the request is not linked to its connection (RFC 7030, 3.5), and has to be")
        shown = {way: each.prove(connection, at, request, lock=lock) for way, each in self._ways(definition).items()}
        thing = _thing(definition, shown, request)
        if not definition.thing.admits(thing):
            raise not_proven(f"thing {thing!r} may not come to enrollment {definition.name!r}")
        if Way.TOKEN not in shown and not definition.thing.create and find_thing(connection, thing) is None:
            raise not_proven(f"there is no thing {thing!r}, and enrollment {definition.name!r} makes none")
        credential = _credential(definition, shown)
        # Before anything is looked up that another request for the same thing may be changing at this moment.
        bound = find_binding(connection, thing, lock=lock) if credential is not None else None
        evidence: dict[str, object] = {"enrollment": definition.name}
        for each in shown.values():
            evidence.update(each.evidence)
        if definition.key_protection is not None:
            evidence[KEY_PROTECTION] = definition.key_protection.value
        method = "+".join(definition.proofs)
        if Way.TOKEN in shown:
            # It knows itself what it was spent on.
            earlier = shown[Way.TOKEN].intent_id
        else:
            earlier = _earlier(connection, at, request, thing, method, evidence)
        if earlier is None:
            require_own(connection, thing, bound, credential)
        approval = None
        if Way.APPROVAL in definition.proofs and earlier is None:
            earlier, approval, approved = self._decided(connection, at, request, definition, thing, lock=lock)
            evidence.update(approved)
        newcomer = _newcomer(definition, credential if bound is None or bound.is_open else None)
        return Proof(
            method,
            thing,
            definition.profile,
            evidence,
            earlier,
            newcomer=newcomer,
            approval=approval,
            definition=definition,
            address=self.presented.address,
        )

    def spend(self, change: Change, proof: Proof, intent_id: str) -> None:
        """Use up what is good once. See `Claim.spend`."""
        definition = proof.definition
        if definition is None:
            raise Bug("a proof is spent that was not shown to an enrollment")
        for way, each in self._ways(definition).items():
            thing = proof.thing if way is Way.TOKEN else None
            each.spend(change, Shown(proof.evidence, thing=thing), intent_id)
        if Way.APPROVAL in definition.proofs:
            fetch_request(change, str(proof.evidence["request"]), proof.thing, intent_id)

    def _definition(self, connection: Connection) -> Definition:
        definition = get_enrollment(connection, self.presented.label).definition
        if not definition.enabled:
            # As if there were none: who may not come need not know.
            raise Fault(Kind.NOT_FOUND, f"there is no enrollment {self.presented.label[:64]!r}", detail="disabled")
        return definition

    def _ways(self, definition: Definition) -> dict[Way, ProvingWay]:
        return {way: _WAYS[way](definition, self.presented) for way in definition.proofs if way in _WAYS}

    def _decided(
        self, connection: Connection, at: datetime, request: Request, definition: Definition, thing: str, *, lock: bool
    ) -> tuple[str | None, Approval | None, dict[str, object]]:
        """Return the intent that an approval has led to, what is still to be decided, and the evidence of approval."""
        found = find_request(connection, definition.name, thing, request.digest, lock=lock)
        state = None if found is None else found.state_at(at)
        rule = definition.approval
        retry_after = rule.retry.total_seconds()
        if found is None or is_over(connection, found, at):
            return None, Approval(definition.name, None, rule.lifetime, retry_after, self.presented.address), {}
        if state is RequestState.DENIED:
            raise not_proven(f"request {found.request_id} was denied by {found.decided_by}")
        if state is RequestState.WAITING:
            return None, Approval(definition.name, found.request_id, rule.lifetime, retry_after, found.address), {}
        intent_id = found.intent_id if state is RequestState.FETCHED else None
        return intent_id, None, {"request": found.request_id, "approved_by": found.decided_by}


def _thing(definition: Definition, shown: Mapping[Way, Shown], request: Request) -> str:
    """Return the one thing that all proofs and the naming rule agree on."""
    names = {each.thing for each in shown.values() if each.thing is not None}
    if definition.thing.name is not None:
        facts: dict[str, str] = {}
        for each in shown.values():
            facts.update(each.facts)
        if request.common_name is not None:
            facts["request"] = request.common_name
        try:
            names.add(parse_thing_name(definition.thing.name.format_map(facts)))
        except KeyError as missing:
            raise not_proven(f"nothing shown says the thing's {missing.args[0]}") from None
        except Fault as fault:
            raise not_proven(f"what was shown names no thing: {fault.message}") from fault
    if len(names) != 1:
        raise not_proven(f"the proofs are of different things: {', '.join(sorted(names))}")
    return names.pop()


def _newcomer(definition: Definition, to_be_bound: str | None) -> Newcomer | None:
    rule = definition.thing
    if not rule.create and to_be_bound is None:
        return None
    return Newcomer(rule.type, rule.attributes, rule.policies, rule.create, to_be_bound)


def _credential(definition: Definition, shown: Mapping[Way, Shown]) -> str | None:
    """Return what the thing is bound to from now on; None where a proof was made for it in person."""
    if _IN_PERSON & set(definition.proofs):
        return None
    found = [each.credential for each in shown.values() if each.credential is not None]
    if not found:
        raise Bug("an enrollment whose proofs identify nobody")
    return found[0]


def _earlier(
    connection: Connection, at: datetime, request: Request, thing: str, method: str, evidence: Mapping[str, object]
) -> str | None:
    """Return the intent that these proofs and this request have led to, unless nothing can come of it any more."""
    for intent in reversed(find_requested(connection, [request.digest])):
        same = intent.thing == thing and intent.method == method
        if not same or not all(intent.proof.get(key) == value for key, value in evidence.items()):
            continue
        if intent.state is IntentState.PREPARED or _is_good(connection, intent, at):
            return intent.intent_id
    return None


def _is_good(connection: Connection, intent: Intent, at: datetime) -> bool:
    row = find_certificate(connection, intent.certificate_id or "")
    return row is not None and not has_ended(row.not_after, at)
