"""A statement in its document's own words, each with its place: for people to read, and the reference to decide by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """An action or a resource as it is written."""

    text: str
    place: str
    """Such as ``Statement[2].Resource[0]``."""


@dataclass(frozen=True, slots=True)
class WrittenCondition:
    """An operator, a key and the values it is compared with."""

    operator: str
    key: str
    values: tuple[str, ...]
    place: str
    """Such as ``Statement[2].Condition.StringLike.iot:ClientId``."""

    @property
    def base(self) -> str:
        """The operator alone: ``StringLike`` of ``ForAnyValue:StringLikeIfExists``."""
        return self.operator.rpartition(":")[2].removesuffix("IfExists")


@dataclass(frozen=True, slots=True)
class Written:
    """A whole statement."""

    place: str
    action_element: str
    """``Action`` or ``NotAction``."""
    actions: tuple[Word, ...]
    resource_element: str
    """``Resource`` or ``NotResource``."""
    resources: tuple[Word, ...]
    """One for each of the statement's patterns, in their order."""
    conditions: tuple[WrittenCondition, ...]
    """One for each of the statement's conditions, in their order."""
