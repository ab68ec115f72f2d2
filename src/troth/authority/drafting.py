"""An intent before its commit: derived and linted as the certificate that it will be, then recorded with its digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from troth.authority.derive import derive, draft, signer_of, tbs_digest
from troth.authority.intents import Intent, add_intents
from troth.errors import Fault
from troth.journal.change import Change
from troth.points import Point, reached
from troth.registry.issuers import Issuer
from troth.registry.keys_seen import key_digest, take_keys
from troth.x509.algorithms import algorithm_of
from troth.x509.profiles import Profile
from troth.x509.requests import Request

CERTIFICATE_INTENDED: Final = "certificate.intended"


@dataclass(frozen=True, slots=True)
class Drafted:
    """An intent, and the digest of what it stands for."""

    intent: Intent
    tbs_digest: str


def draft_intent(
    intent: Intent, rules: Profile, issuer: Issuer | None, public_url: str, request: Request | None = None
) -> Drafted:
    """Return the intent with its digest; `request` is its own, already read. Raises `Fault` as derive and draft do."""
    above = issuer.certificate if issuer else None
    template = derive(intent, rules, above, public_url, shards=issuer.shards if issuer else 1, request=request)
    return Drafted(intent, tbs_digest(draft(template, algorithm_of(signer_of(template)))))


def hold_keys(change: Change, outcomes: Sequence[Drafted | Fault]) -> list[Drafted | Fault]:
    """Return the outcomes, with those refused whose keys are another thing's, or were compromised."""
    drafted = [each for each in outcomes if isinstance(each, Drafted)]
    if not drafted:
        return list(outcomes)
    told = iter(take_keys(change, [(key_digest(each.intent.public_key), each.intent.thing) for each in drafted]))
    return [(next(told) or each) if isinstance(each, Drafted) else each for each in outcomes]


def record_intents(change: Change, drafted: Sequence[Drafted]) -> None:
    """Store intents as part of a change. Raises `Fault` (conflict) when a serial number is taken."""
    if not drafted:
        return
    add_intents(change, [each.intent for each in drafted])
    for each in drafted:
        intent = each.intent
        change.acting_for(intent.actor).record(
            CERTIFICATE_INTENDED,
            intent.intent_id,
            intent=intent.intent_id,
            thing=intent.thing,
            issuer_id=intent.issuer_id,
            profile=intent.profile,
            serial=f"{intent.serial:x}",
            request_digest=intent.request_digest,
            method=intent.method,
            proof=dict(intent.proof),
            tbs_digest=each.tbs_digest,
        )
    reached(Point.INTENDED)
