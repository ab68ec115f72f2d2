"""Policies made ready to be asked: once for everybody who holds them, and what depends on the holder once for each.

Statements are known by their place among all of them, from 0. Decides nothing (`troth.policy.engine`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from troth.limits import POLICY_SETS_KEPT_MAX
from troth.policy.actions import Action
from troth.policy.attachment import NamedPolicy
from troth.policy.condition import Condition
from troth.policy.context import VOLATILE_KEYS, RequestKeys
from troth.policy.index import NOWHERE, Draft, Index
from troth.policy.pattern import Glob, Shape
from troth.policy.statement import Document, Effect, Statement

# A look at an enumeration's member costs more than what is done with it here.
_DENY: Final = Effect.DENY
_EXACT: Final = Shape.EXACT
_OTHER: Final = Shape.OTHER
_NO_KEYS: Final = RequestKeys({}, {})


class Compiled:
    """Policies that apply together, for everybody who holds them; an action is compiled when first asked for."""

    __slots__ = ("_shares", "statements")

    def __init__(self, policies: Iterable[NamedPolicy]) -> None:
        self.statements = tuple((policy.name, each) for policy in policies for each in policy.document.statements)
        """All statements in their order, each with the name of its policy."""
        self._shares: dict[Action, _Share] = {}

    def rules(self, action: Action, arn: str, keys: RequestKeys, *, live: bool) -> "Rules":
        """Return what the policies say of an action to the holder of `keys`; `arn` is what its ARNs begin with.

        With `live`, statements that read what may change are left to be decided; without, nothing changes.
        """
        share = self._shares.get(action)
        if share is None:
            share = self._shares[action] = self._share(action)
        own = _Sides()
        changing = []
        for place, statement in share.open:
            if live and not VOLATILE_KEYS.isdisjoint(statement.names):
                if _hold(keys, (each for each in statement.conditions if VOLATILE_KEYS.isdisjoint(each.names))):
                    changing.append(Live(place, statement, keys))
            elif statement.holds(keys):
                own.add(place, statement, keys)
        denies, allows = own.indexes()
        return Rules(arn, keys, share.denies + denies, share.allows + allows, tuple(changing))

    def _share(self, action: Action) -> "_Share":
        shared = _Sides()
        open_: list[tuple[int, Statement]] = []
        for place, (_, statement) in enumerate(self.statements):
            if action not in statement.actions:
                continue
            if statement.names:
                open_.append((place, statement))
            else:
                shared.add(place, statement, _NO_KEYS)
        return _Share(*shared.indexes(), tuple(open_))


class Compiler:
    """Compiles each set of policies once, however many hold it; the sets that were last asked for are kept."""

    def __init__(self, kept_max: int = POLICY_SETS_KEPT_MAX) -> None:
        self._compiled = lru_cache(kept_max)(_compile)

    def compile(self, policies: Iterable[NamedPolicy]) -> Compiled:
        """Return the policies compiled. Documents are told apart by what they are, not by what they say."""
        return self._compiled(tuple((policy.name, policy.document) for policy in policies))


def _compile(policies: tuple[tuple[str, Document], ...]) -> Compiled:
    return Compiled(NamedPolicy(name, document) for name, document in policies)


@dataclass(frozen=True, slots=True)
class Rules:
    """What policies say of one action to one holder: a statement applies to an ARN that is found in its index."""

    arn: str
    """What the ARN of every request begins with."""
    keys: RequestKeys
    denies: tuple[Index, ...]
    allows: tuple[Index, ...]
    live: tuple["Live", ...]


@dataclass(frozen=True, slots=True)
class _Share:
    """What policies say of one action to everybody, and the statements that depend on the holder."""

    denies: tuple[Index, ...]
    allows: tuple[Index, ...]
    open: tuple[tuple[int, Statement], ...]


class Live:
    """A statement that reads what may change, decided beforehand as far as it can be."""

    __slots__ = ("_conditions", "_globs", "_statement", "place")

    def __init__(self, place: int, statement: Statement, keys: RequestKeys) -> None:
        self.place = place
        self._statement = statement
        self._conditions = tuple(each for each in statement.conditions if not VOLATILE_KEYS.isdisjoint(each.names))
        steady = all(VOLATILE_KEYS.isdisjoint(pattern.variables) for pattern in statement.resources)
        self._globs = statement.resolve(keys) if steady else None

    @property
    def denies(self) -> bool:
        """Whether its effect is to deny."""
        return self._statement.effect is _DENY

    def may_apply(self, arn: str) -> bool:
        """Say whether it can be that the statement applies to a request, now or later."""
        return self._globs is None or self._statement.covers(self._globs, arn)

    def applies(self, arn: str, keys: RequestKeys) -> bool:
        """Say whether it applies to a request for which `may_apply`, with the keys as they are now."""
        if not _hold(keys, self._conditions):
            return False
        return self._globs is not None or self._statement.covers(self._statement.resolve(keys), arn)


class _Sides:
    """The statements that deny and those that allow, added in their order."""

    __slots__ = ("_allows", "_denies")

    def __init__(self) -> None:
        self._denies = Draft()
        self._allows = Draft()

    def add(self, place: int, statement: Statement, keys: RequestKeys) -> None:
        """Add a statement whose conditions hold."""
        draft = self._denies if statement.effect is _DENY else self._allows
        if statement.except_resources:
            draft.add_other("", _Others(statement.resolve(keys)), place)
            return
        lookup = keys.variable
        for pattern in statement.resources:
            if pattern.shape is _OTHER:
                glob = pattern.resolve(lookup)
                if glob is not None:
                    draft.add_other(glob.beginning, glob, place)
                continue
            beginning = pattern.resolve_beginning(lookup)
            if beginning is None:
                continue
            if pattern.shape is _EXACT:
                draft.add_exact(beginning, place)
            else:
                draft.add_prefix(beginning, place)

    def indexes(self) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
        """Return the index of either side; nothing for a side that is empty."""
        return _index(self._denies), _index(self._allows)


def _index(draft: Draft) -> tuple[Index, ...]:
    return (Index(draft),) if draft.exact or draft.prefixes or draft.others else ()


class _Others:
    """``NotResource``: matches what none of its patterns does."""

    __slots__ = ("_globs",)

    def __init__(self, globs: tuple[Glob, ...]) -> None:
        self._globs = globs

    def matches(self, arn: str) -> bool:
        """Say whether no pattern matches."""
        return not any(glob.matches(arn) for glob in self._globs)


def first(indexes: tuple[Index, ...], arn: str) -> int:
    """Return the lowest place that any of the indexes finds, or `NOWHERE`."""
    best = NOWHERE
    for index in indexes:
        place = index.first(arn)
        if place < best:
            best = place
    return best


def _hold(keys: RequestKeys, conditions: Iterable[Condition]) -> bool:
    return all(condition.holds(keys) for condition in conditions)
