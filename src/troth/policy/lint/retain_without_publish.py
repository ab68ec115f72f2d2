"""Retaining is allowed where publishing is not: a retained message needs both."""

from collections.abc import Iterator
from typing import Final

from troth.policy.actions import Action
from troth.policy.lint.patterns import Cover, Covered
from troth.policy.lint.rule import Case, Found, Level, Rule, resources


def _check(case: Case) -> Iterator[Found]:
    publishing = list(case.allowing(Action.PUBLISH))
    if any(statement.except_resources for statement in publishing):
        return
    published = [Cover(pattern) for statement in publishing for pattern in statement.resources]
    for statement in case.allowing(Action.RETAIN_PUBLISH):
        if Action.PUBLISH in statement.actions or statement.except_resources:
            continue
        for word, pattern in resources(statement):
            case.budget.spend(1 + len(published))
            retained = Covered(pattern)
            if not any(wider.covers(retained) for wider in published):
                yield Found(
                    word.place,
                    f"a retained message needs {Action.PUBLISH} as well, which no statement allows on all of this",
                    f"allow {Action.PUBLISH} on the same topics",
                )


RETAIN_WITHOUT_PUBLISH: Final = Rule("retain-without-publish", Level.USELESS, _check)
