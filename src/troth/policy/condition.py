"""One condition of a statement: an operator, a key and the values it is compared with.

Knows nothing of statements. AWS IAM user guide, "Condition operators" and "Multivalued context keys".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from troth.policy.context import RequestKeys
from troth.policy.operators import OPERATORS, Operand
from troth.policy.pattern import Variable, fold, scan

_IF_EXISTS: Final = "IfExists"
_NULL: Final = "Null"
_SHOWN_CHARS: Final = 60

T = TypeVar("T")


class Quantifier(StrEnum):
    """How many of the request's values have to satisfy the operator."""

    ALL = "ForAllValues"
    ANY = "ForAnyValue"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds where the key's values in the request satisfy the operator."""

    key: str
    """Folded."""
    operands: tuple[Operand, ...]
    negated: bool
    if_exists: bool
    quantifier: Quantifier | None
    names: frozenset[str]
    """Folded names of all keys and variables that it reads."""

    def holds(self, keys: RequestKeys) -> bool:
        """Say whether the condition holds for a request."""
        values = keys.values(self.key)
        # Without a quantifier: some value matches, or, negated, none does.
        needs_all = self.negated if self.quantifier is None else self.quantifier is Quantifier.ALL
        if not values:
            return needs_all or self.if_exists
        for value in values:
            if self._satisfies(value, keys) != needs_all:
                return not needs_all
        return needs_all

    def _satisfies(self, value: str, keys: RequestKeys) -> bool:
        for matches in self.operands:
            if matches(value, keys.variable):
                return not self.negated
        return self.negated


@dataclass(frozen=True, slots=True)
class Presence:
    """``Null``: holds where the key is absent, or where it is present, as the policy's values say."""

    key: str
    """Folded."""
    absent: frozenset[bool]

    @property
    def names(self) -> frozenset[str]:
        """Folded names of all keys that it reads."""
        return frozenset({self.key})

    def holds(self, keys: RequestKeys) -> bool:
        """Say whether the condition holds for a request."""
        return (not keys.values(self.key)) in self.absent


Condition = Comparison | Presence


def is_operator(text: str) -> bool:
    """Say whether `text` is the name of an operator, with what may stand before and behind it."""
    return text == _NULL or _split(text)[1] in OPERATORS


def parse_condition(operator: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """Return the condition. `operator` is one by `is_operator`; no value at all is legal and matches nothing.

    Raises `ValueError`, saying why, on a value that the operator cannot be used with.
    """
    name = fold(key)
    if operator == _NULL:
        return Presence(name, frozenset(_read(_null, value, False) for value in values))
    quantifier, base, if_exists = _split(operator)
    meaning = OPERATORS[base]
    variables = variables and meaning.variables
    return Comparison(
        key=name,
        operands=tuple(_read(meaning.read, value, variables) for value in values),
        negated=meaning.negated,
        if_exists=if_exists,
        quantifier=quantifier,
        names=frozenset({name}).union(*(_variables(value) for value in values) if variables else ()),
    )


def _split(operator: str) -> tuple[Quantifier | None, str, bool]:
    prefix, colon, base = operator.rpartition(":")
    if colon and prefix not in tuple(Quantifier):
        return None, "", False
    return Quantifier(prefix) if colon else None, base.removesuffix(_IF_EXISTS), base.endswith(_IF_EXISTS)


def _read(read: Callable[[str, bool], T], value: str, variables: bool) -> T:
    try:
        return read(value, variables)
    except ValueError as error:
        raise ValueError(f"{value[:_SHOWN_CHARS]!a} {error}") from error


def _null(value: str, _: bool) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return value.lower() == "true"


def _variables(value: str) -> frozenset[str]:
    return frozenset(token.name for token in scan(value, variables=True) if isinstance(token, Variable))
