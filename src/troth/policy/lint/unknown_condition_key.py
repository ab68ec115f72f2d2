"""A condition on a key that no request has."""

from collections.abc import Iterator
from typing import Final

from troth.policy.catalogue import find_key, suggest_key
from troth.policy.lint.conditions import needs_key, pairs_of
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.showing import shown


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        for condition, written in pairs_of(statement):
            if find_key(condition.key) is not None:
                continue
            meant = suggest_key(condition.key)
            outcome = "never" if needs_key(condition) else "always"
            yield Found(
                written.place,
                f"no request has the key {shown(written.key)}, so that the condition {outcome} holds",
                f"did you mean {meant}?" if meant else "leave it out",
            )


UNKNOWN_CONDITION_KEY: Final = Rule("unknown-condition-key", Level.DANGEROUS, _check)
