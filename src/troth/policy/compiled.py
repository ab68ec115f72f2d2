"""Policies made ready to be asked: once for everybody who holds them, and what depends on the holder once for each.

Statements are known by their place among all of them, from 0. Decides nothing (`troth.policy.engine`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from troth.limits import POLICY_SETS_KEPT_MAX
from troth.names import Realm
from troth.policy.actions import Action, arn_beginning
from troth.policy.attachment import NamedPolicy
from troth.policy.condition import Condition
from troth.policy.context import MESSAGE_SIGNED, VOLATILE_KEYS, RequestKeys
from troth.policy.index import NOWHERE, Draft, Index
from troth.policy.pattern import Glob, Shape
from troth.policy.statement import Document, Effect, Statement

# A look at an enumeration's member costs more than what is done with it here.
_DENY: Final = Effect.DENY
_EXACT: Final = Shape.EXACT
_OTHER: Final = Shape.OTHER
_OF_TIME: Final = VOLATILE_KEYS - {MESSAGE_SIGNED}
_NO_KEYS: Final = RequestKeys({}, {})


class Compiled:
    """Policies that apply together, for everybody who holds them; actions are compiled when first asked for."""

    __slots__ = ("_shares", "statements")

    def __init__(self, policies: Iterable[NamedPolicy]) -> None:
        self.statements = tuple((policy.name, each) for policy in policies for each in policy.document.statements)
        """All statements in their order, each with the name of its policy."""
        self._shares: dict[frozenset[Action], _Share] = {}

    def rules(
        self, actions: frozenset[Action], realm: Realm, keys: RequestKeys, *, live: bool
    ) -> Mapping[Action, "Rules"]:
        """Return what the policies say of each of several actions to the holder of `keys`.

        With `live`, statements that read what may change are left to be decided; without, nothing changes.
        """
        share = self._shares.get(actions)
        if share is None:
            share = self._shares[actions] = self._share(actions)
        denies, allows = ({action: Draft() for action in actions} for _ in range(2))
        changing: dict[Action, list[Live]] = {action: [] for action in actions}
        denying = {asked: [denies[action] for action in asked] for asked in share.sets}
        allowing = {asked: [allows[action] for action in asked] for asked in share.sets}
        for place, statement, asked in share.open:
            if live and not VOLATILE_KEYS.isdisjoint(statement.names):
                if _hold(keys, (each for each in statement.conditions if VOLATILE_KEYS.isdisjoint(each.names))):
                    waiting = Live(place, statement, keys)
                    for action in asked:
                        changing[action].append(waiting)
            elif statement.holds(keys):
                _add(place, statement, keys, (denying if statement.effect is _DENY else allowing)[asked])
        return {
            action: Rules(
                arn=arn_beginning(realm, action),
                keys=keys,
                denies=share.denies[action] + _index(denies[action]),
                allows=share.allows[action] + _index(allows[action]),
                live=tuple(changing[action]),
            )
            for action in actions
        }

    def _share(self, actions: frozenset[Action]) -> "_Share":
        denies, allows = ({action: Draft() for action in actions} for _ in range(2))
        open_: list[tuple[int, Statement, frozenset[Action]]] = []
        for place, (_, statement) in enumerate(self.statements):
            asked = statement.actions & actions
            if asked and statement.names:
                open_.append((place, statement, asked))
            elif asked:
                drafts = denies if statement.effect is _DENY else allows
                _add(place, statement, _NO_KEYS, [drafts[action] for action in asked])
        return _Share(
            denies={action: _index(draft) for action, draft in denies.items()},
            allows={action: _index(draft) for action, draft in allows.items()},
            open=tuple(open_),
            sets=frozenset(asked for _, _, asked in open_),
        )


class Compiler:
    """Compiles each set of policies once, however many hold it; the sets that were last asked for are kept."""

    def __init__(self, kept_max: int = POLICY_SETS_KEPT_MAX) -> None:
        self._compiled = lru_cache(kept_max)(_compile)

    def compile(self, policies: Iterable[NamedPolicy]) -> Compiled:
        """Return the policies compiled. Documents are told apart by what they are, not by what they say."""
        return self._compiled(tuple((policy.name, policy.document) for policy in policies))


def _compile(policies: tuple[tuple[str, Document], ...]) -> Compiled:
    return Compiled(NamedPolicy(name, document) for name, document in policies)


_Indexes = tuple[Index, ...]
"""One, or none where it would be empty."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What policies say of one action to one holder: a statement applies to an ARN that is found in its index."""

    arn: str
    """What the ARN of every request begins with."""
    keys: RequestKeys
    denies: _Indexes
    allows: _Indexes
    live: tuple["Live", ...]


@dataclass(frozen=True, slots=True)
class _Share:
    """What policies say of some actions to everybody."""

    denies: Mapping[Action, _Indexes]
    allows: Mapping[Action, _Indexes]
    open: tuple[tuple[int, Statement, frozenset[Action]], ...]
    """The statements that depend on the holder, each with those of the actions that it is about."""
    sets: frozenset[frozenset[Action]]
    """The sets of actions that stand there."""


class Live:
    """A statement that reads what may change, decided beforehand as far as it can be."""

    __slots__ = ("_conditions", "_globs", "_statement", "place", "reads_signature", "reads_time")

    def __init__(self, place: int, statement: Statement, keys: RequestKeys) -> None:
        self.place = place
        self.reads_signature = MESSAGE_SIGNED in statement.names
        """Whether it asks if the message is signed."""
        self.reads_time = not _OF_TIME.isdisjoint(statement.names)
        """Whether it asks for anything that changes by itself."""
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
        return self._statement.applies(arn, keys) if self._globs is None else _hold(keys, self._conditions)


def _add(place: int, statement: Statement, keys: RequestKeys, drafts: Sequence[Draft]) -> None:
    """Add to each draft what a statement whose conditions hold is about."""
    if statement.except_resources:
        others = _Others(statement.resolve(keys))
        for draft in drafts:
            draft.add_other("", others, place)
        return
    lookup = keys.variable
    for pattern in statement.resources:
        if pattern.shape is _OTHER:
            glob = pattern.resolve(lookup)
            if glob is not None:
                for draft in drafts:
                    draft.add_other(glob.beginning, glob, place)
            continue
        beginning = pattern.resolve_beginning(lookup)
        if beginning is None:
            continue
        for draft in drafts:
            if pattern.shape is _EXACT:
                draft.add_exact(beginning, place)
            else:
                draft.add_prefix(beginning, place)


def _index(draft: Draft) -> _Indexes:
    return (Index(draft),) if draft.exact or draft.prefixes or draft.others else ()


class _Others:
    """``NotResource``: matches what none of its patterns does."""

    __slots__ = ("_globs",)

    def __init__(self, globs: tuple[Glob, ...]) -> None:
        self._globs = globs

    def matches(self, arn: str) -> bool:
        """Say whether no pattern matches."""
        return not any(glob.matches(arn) for glob in self._globs)


def first(indexes: _Indexes, arn: str) -> int:
    """Return the lowest place that any of the indexes finds, or `NOWHERE`."""
    best = NOWHERE
    for index in indexes:
        place = index.first(arn)
        if place < best:
            best = place
    return best


def _hold(keys: RequestKeys, conditions: Iterable[Condition]) -> bool:
    return all(condition.holds(keys) for condition in conditions)
