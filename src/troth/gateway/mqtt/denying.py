"""Telling of a denial in an exchange: what policy says comes before what speaks against the name itself."""

from typing import Final

from troth.evidence.judging import Judgement
from troth.evidence.outcome import MEANING
from troth.gateway.denials import Denials
from troth.policy.actions import Action, request_resource
from troth.policy.decision import Outcome
from troth.policy.engine import Grant

NO_POLICY: Final = "policy"


def deny(denials: Denials, grant: Grant, event: str, action: Action, name: str, problem: str | None) -> None:
    """Tell that `action` on `name` was denied; `problem` is what speaks against it beside policy."""
    decision = grant.decide(action, name)
    if decision.allowed and problem is not None:
        outcome, reason, detail = Outcome.IMPLICIT_DENY, str(problem), ""
        resource = request_resource(action, name)
    else:
        outcome, reason, detail, resource = decision.outcome, NO_POLICY, decision.reason, decision.resource
    denials.tell(event, action, resource, outcome, reason, detail)


def deny_reading(denials: Denials, grant: Grant, action: Action, topic: str, judgement: Judgement) -> None:
    """Tell that a message was denied whose signature was asked for, and what it was."""
    found = judgement.outcome
    decision = grant.decide(action, topic, message_signed=found.is_proven)
    detail = f"{MEANING[found]}; {decision.reason}"
    denials.tell("publish.denied", action, decision.resource, decision.outcome, f"reading-{found}", detail)
