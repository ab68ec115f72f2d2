"""What a lint rule is given, is, and says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from troth.limits import LINT_COMPARISONS_MAX
from troth.names import Realm
from troth.policy.actions import Action
from troth.policy.pattern import Pattern, Token, Wildcard, scan
from troth.policy.statement import Document, Effect, Statement
from troth.policy.written import Word

OVERLY_PERMISSIVE_CHECK: Final = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"
MISCONFIGURATION_CHECK: Final = "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"


class Level(StrEnum):
    """What is wrong with what a rule finds."""

    DANGEROUS = "dangerous"
    """It lets somebody do more than whoever wrote it is likely to want."""
    USELESS = "useless"
    """It does nothing, or not what it seems to."""


class TooMuchToCompareError(Exception):
    """A rule has compared as many resources as it may; what it has found so far stands."""


class Budget:
    """How many comparisons of resources a rule has left."""

    def __init__(self, left: int = LINT_COMPARISONS_MAX) -> None:
        self._left = left

    def spend(self, count: int) -> None:
        """Raise `TooMuchToCompareError` where there are not `count` left."""
        self._left -= count
        if self._left < 0:
            raise TooMuchToCompareError


@dataclass(frozen=True, slots=True)
class Case:
    """A document before the rules."""

    document: Document
    realm: Realm | None
    """Where it is to be used; None where nobody said."""
    budget: Budget = field(default_factory=Budget)

    def allowing(self, action: Action) -> Iterator[Statement]:
        """Yield the statements that allow an action at all."""
        return (each for each in self._about(action) if each.effect is Effect.ALLOW)

    def denying(self, action: Action) -> Iterator[Statement]:
        """Yield the statements that deny an action at all."""
        return (each for each in self._about(action) if each.effect is Effect.DENY)

    def name_of(self, word: Word) -> tuple[Token, ...]:
        """Return what a resource says of types and names: what is behind the fifth colon, or ``*``."""
        parts = word.text.split(":", 5)
        return scan(parts[5], variables=self.document.has_variables) if len(parts) == 6 else (Wildcard.MANY,)

    def _about(self, action: Action) -> Iterator[Statement]:
        return (each for each in self.document.statements if action in each.actions)


@dataclass(frozen=True, slots=True)
class Found:
    """One place where a rule is broken."""

    place: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to look for."""

    code: str
    level: Level
    check: Callable[[Case], Iterator[Found]]
    aws: str | None = None
    """The audit check of AWS IoT Device Defender that looks for it too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is legal, and dangerous or useless."""

    code: str
    level: Level
    place: str
    """Such as ``Statement[2].Resource[0]``."""
    reason: str
    remedy: str
    aws: str | None
    """The audit check of AWS IoT Device Defender that finds it too."""


def resources(statement: Statement) -> Iterator[tuple[Word, Pattern]]:
    """Yield the resources of a statement, as they are written and as they are."""
    return zip(statement.written.resources, statement.resources, strict=True)
