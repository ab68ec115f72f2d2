"""What comes out of asking: the outcome, what decided it, and the reason in words."""

from dataclasses import dataclass
from enum import StrEnum

from troth.policy.actions import Action
from troth.policy.showing import shown


class Outcome(StrEnum):
    """The three answers of AWS's evaluation; only the first lets anybody do anything."""

    ALLOW = "allow"
    EXPLICIT_DENY = "explicit-deny"
    IMPLICIT_DENY = "implicit-deny"


@dataclass(frozen=True, slots=True)
class Deciding:
    """The statement that decided: the first one that applies, among those that deny or else among those that allow."""

    policy: str
    number: int
    """Its place in the document, counted from 1."""
    sid: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request."""

    outcome: Outcome
    action: Action
    resource: str
    """What the request is about, such as ``topic/home/x``."""
    deciding: Deciding | None
    """None where the outcome is an implicit deny: no statement applies."""

    @property
    def allowed(self) -> bool:
        """Whether the request may go ahead."""
        return self.outcome is Outcome.ALLOW

    @property
    def reason(self) -> str:
        """One line for logs and people; the same request and policies give the same words."""
        if self.deciding is None:
            return f"no statement allows {self.action} on {shown(self.resource)}"
        verb = "allowed" if self.allowed else "denied"
        return f"{verb} by statement {self.deciding.number} of policy {self.deciding.policy}"
