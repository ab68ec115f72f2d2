"""A Deny on a filter is walked around by subscribing to a broader one, since filters are compared as text.

AWS IoT Device Defender, "AWS IoT policy potentially misconfigured".
"""

from collections.abc import Iterable, Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.lint.conditions import conditions_of
from troth.policy.lint.patterns import ANYTHING, Cover, Covered, glob_of, readable, text_of
from troth.policy.lint.rule import MISCONFIGURATION_CHECK, Case, Found, Level, Rule
from troth.policy.pattern import Glob, Token, build_pattern
from troth.policy.showing import shown
from troth.policy.statement import Statement

_KIND: Final = "topicfilter/"
_LEVELS_MAX: Final = 16


def _check(case: Case) -> Iterator[Found]:
    filters = _Filters(case)
    deliveries = [
        (conditions_of(statement), Cover(build_pattern(case.name_of(word))))
        for statement in case.denying(Action.RECEIVE)
        if not statement.except_resources
        for word in statement.written.resources
    ]
    for statement in case.denying(Action.SUBSCRIBE):
        if statement.except_resources:
            continue
        conditions = conditions_of(statement)
        for word in statement.written.resources:
            name = case.name_of(word)
            topics = _topics(name)
            case.budget.spend(1 + len(deliveries))
            if topics is None or any(theirs <= conditions and cover.covers(topics) for theirs, cover in deliveries):
                continue
            around = filters.around(text_of(name, ANYTHING).removeprefix(_KIND))
            if around is not None:
                yield Found(
                    word.place,
                    f"a subscription to {shown(readable(around))} {filters.permission}, and is sent these messages",
                    "deny iot:Receive on the topics themselves as well: deliveries are decided one by one",
                )


def _topics(name: tuple[Token, ...]) -> Covered | None:
    """Return the pattern of the topics that a pattern of filters is meant for; None where it is of no filters alone."""
    if not (name and isinstance(name[0], str) and name[0].startswith(_KIND)):
        return None
    return Covered(build_pattern(("topic/" + name[0].removeprefix(_KIND), *name[1:])))


class _Filters:
    """Which filters a document denies and allows, whatever its conditions."""

    def __init__(self, case: Case) -> None:
        self._budget = case.budget
        self._denied = _globs(case, case.denying(Action.SUBSCRIBE))
        self._allowed = _globs(case, case.allowing(Action.SUBSCRIBE))
        self.permission = "is allowed" if self._allowed else "can be allowed, also by another policy"

    def around(self, denied: str) -> str | None:
        """Return a filter that is not denied, can be allowed, and holds topics that `denied` holds."""
        for broader in _broader(denied):
            self._budget.spend(len(self._denied) + len(self._allowed))
            if not _holds(self._denied, broader) and (not self._allowed or _holds(self._allowed, broader)):
                return broader
        return None


def _globs(case: Case, statements: Iterable[Statement]) -> list[tuple[Glob, bool]]:
    """Return the filters of statements, each with whether it is excepted."""
    return [
        (glob_of(case.name_of(word)), statement.except_resources)
        for statement in statements
        for word in statement.written.resources
    ]


def _holds(globs: Iterable[tuple[Glob, bool]], topic_filter: str) -> bool:
    return any(glob.matches(_KIND + topic_filter) != excepted for glob, excepted in globs)


def _broader(denied: str) -> Iterator[str]:
    """Yield filters that hold topics which `denied` does, the narrowest first."""
    levels = denied.split("/")[:_LEVELS_MAX]
    for place in reversed(range(len(levels))):
        yield "/".join([*levels[:place], "#"])
        yield "/".join([*levels[:place], "+", *levels[place + 1 :]])


DENY_WALKED_AROUND: Final = Rule("deny-walked-around", Level.DANGEROUS, _check, MISCONFIGURATION_CHECK)
