"""A document as a value: immutable, and shared by all principals to whom it applies.

Knows nothing of JSON (`troth.policy.document`) and nothing of who holds it (`troth.policy.engine`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from troth.policy.actions import Action
from troth.policy.condition import Condition
from troth.policy.context import RequestKeys
from troth.policy.pattern import Glob, Pattern
from troth.policy.written import Written


class Effect(StrEnum):
    """What a statement does where it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement."""

    number: int
    """Its place in the document, counted from 1."""
    sid: str | None
    effect: Effect
    actions: frozenset[Action]
    """Those that ``Action`` names, or that ``NotAction`` leaves."""
    resources: tuple[Pattern, ...]
    except_resources: bool
    """The resources are those of ``NotResource``: all others are meant."""
    conditions: tuple[Condition, ...]
    names: frozenset[str]
    """Folded names of all keys and variables that it reads."""
    written: Written = field(compare=False, repr=False)

    def applies(self, arn: str, keys: RequestKeys) -> bool:
        """Say whether the statement applies to a request for one of its actions."""
        return self.holds(keys) and self.covers(self.resolve(keys), arn)

    def holds(self, keys: RequestKeys) -> bool:
        """Say whether all conditions hold."""
        for condition in self.conditions:  # noqa: SIM110 - most statements have none: a generator would be the work
            if not condition.holds(keys):
                return False
        return True

    def resolve(self, keys: RequestKeys) -> tuple[Glob, ...]:
        """Return the resources with variables substituted, without those in which one has no value."""
        globs = (pattern.resolve(keys.variable) for pattern in self.resources)
        return tuple(glob for glob in globs if glob is not None)

    def covers(self, resources: Iterable[Glob], arn: str) -> bool:
        """Say whether the statement is about `arn`; `resources` is what `resolve` returned."""
        return any(glob.matches(arn) for glob in resources) != self.except_resources


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A policy document that was read and found valid; equal to itself only, which makes it cheap to tell apart."""

    version: str
    statements: tuple[Statement, ...]

    @property
    def has_variables(self) -> bool:
        """Whether policy variables are recognised in it, or are text like any other."""
        return self.version == "2012-10-17"
