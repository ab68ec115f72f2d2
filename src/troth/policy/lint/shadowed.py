"""A statement that decides nothing, since another one covers all of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from troth.policy.lint.conditions import conditions_of
from troth.policy.lint.patterns import Cover, Covered
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.pattern import Wildcard, build_pattern
from troth.policy.statement import Effect, Statement

_EVERYTHING: Final = build_pattern((Wildcard.MANY,))


@dataclass(frozen=True, slots=True)
class _Side:
    """A statement, made ready to be compared with many."""

    statement: Statement
    conditions: frozenset[tuple[str, str, frozenset[str]]]
    covers: tuple[Cover, ...]
    """Its resources; none where it excepts them, so that it is never taken to cover anything."""
    covered: tuple[Covered, ...]


def _check(case: Case) -> Iterator[Found]:
    sides = [_side(statement) for statement in case.document.statements]
    for side in sides:
        for other in sides:
            if other is side or not _may_cover(other, side):
                continue
            case.budget.spend(1 + len(side.covered) * len(other.covers))
            # Of two that cover each other, the later one goes.
            if _covers(other, side) and not (_comes_later(other, side) and _covers(side, other)):
                yield _found(side.statement, other.statement)
                break


def _side(statement: Statement) -> _Side:
    excepts = statement.except_resources
    return _Side(
        statement,
        conditions_of(statement),
        () if excepts else tuple(Cover(pattern) for pattern in statement.resources),
        tuple(Covered(pattern) for pattern in ((_EVERYTHING,) if excepts else statement.resources)),
    )


def _found(statement: Statement, other: Statement) -> Found:
    place = statement.written.place
    if other.effect is statement.effect:
        verb = "allows" if other.effect is Effect.ALLOW else "denies"
        return Found(place, f"{other.written.place} {verb} all of it already", "leave it out")
    return Found(place, f"{other.written.place} denies all of it, so that it allows nothing", "leave one of them out")


def _may_cover(other: _Side, side: _Side) -> bool:
    """Say whether `other`, as far as can be seen without looking at resources, makes `side` useless."""
    deciding = other.statement.effect is Effect.DENY or side.statement.effect is Effect.ALLOW
    about = side.statement.actions
    return deciding and bool(about) and about <= other.statement.actions and other.conditions <= side.conditions


def _comes_later(other: _Side, side: _Side) -> bool:
    same = other.statement.effect is side.statement.effect and other.statement.actions == side.statement.actions
    return same and other.conditions == side.conditions and other.statement.number > side.statement.number


def _covers(other: _Side, side: _Side) -> bool:
    return all(any(wider.covers(pattern) for wider in other.covers) for pattern in side.covered)


SHADOWED: Final = Rule("shadowed", Level.USELESS, _check)
