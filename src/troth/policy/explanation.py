"""Why a request was decided as it was, as values: statement by statement, and what kept each from applying.

Knows no words for people (`troth.policy.wording`) and finds nothing out (`troth.policy.explain`).
"""

from dataclasses import dataclass

from troth.policy.actions import Action
from troth.policy.attachment import TargetKind
from troth.policy.decision import Decision, Outcome
from troth.policy.statement import Effect


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that has no value for this request."""

    variable: str
    """As it is written, braces included."""
    why: str


@dataclass(frozen=True, slots=True)
class Substituted:
    """A pattern or a value of a policy, as it is written and as it is for this request."""

    written: str
    here: str | None
    """With its variables substituted; None where one has no value, so that it matches nothing."""
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionFailed:
    """The statement is about other actions."""

    action: Action
    element: str
    """``Action``: none of `written` is the request's. ``NotAction``: one of them is."""
    written: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceFailed:
    """The statement is about other resources."""

    element: str
    """``Resource``: none of `patterns` matches. ``NotResource``: each of `patterns` does."""
    patterns: tuple[Substituted, ...]
    hints: tuple[str, ...]
    """What is nearly right, such as a pattern that differs in case alone."""


@dataclass(frozen=True, slots=True)
class ConditionFailed:
    """One condition does not hold."""

    operator: str
    key: str
    """Both as written."""
    wanted: tuple[Substituted, ...]
    found: tuple[str, ...]
    """The request's values; none where the key is absent."""
    absent: str | None
    """Why it is absent; None where it is not."""


Failure = ActionFailed | ResourceFailed | ConditionFailed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one statement has to say of the request."""

    policy: str
    target_kind: TargetKind
    target: str
    """What the policy is attached to; empty where nobody said."""
    number: int
    """Its place in the document, counted from 1."""
    sid: str | None
    effect: Effect
    failures: tuple[Failure, ...]
    """All that keeps it from applying: action, resource, conditions. Where the action fails, no more is looked at."""

    @property
    def applies(self) -> bool:
        """Whether it applies to the request."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and all that led to it."""

    decision: Decision
    arn: str
    """What the patterns were matched against."""
    policies: tuple[str, ...]
    """The names of the policies that count, also of those without a statement."""
    verdicts: tuple[Verdict, ...]
    """One for each statement, in the order of the policies. None where the name is too long to be matched."""
    too_long: bool = False

    @property
    def deciding(self) -> tuple[Verdict, ...]:
        """Every statement that decided: those that deny where one does, or else those that allow."""
        effect = Effect.DENY if self.decision.outcome is Outcome.EXPLICIT_DENY else Effect.ALLOW
        return tuple(verdict for verdict in self.verdicts if verdict.applies and verdict.effect is effect)
