"""``StringEquals`` with ``*`` or ``?``, which only ``StringLike`` takes for wildcards."""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.conditions import pairs_of
from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.pattern import Wildcard, scan
from troth.policy.showing import shown

_EXACT: Final = frozenset({"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"})


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        for _, written in pairs_of(statement):
            if written.base not in _EXACT:
                continue
            for value in written.values:
                # ${*} is the character itself, so whoever writes it knows.
                if any(isinstance(token, Wildcard) for token in scan(value, variables=case.document.has_variables)):
                    yield Found(
                        written.place,
                        f"{written.operator} takes the wildcards of {shown(value)} for ordinary characters",
                        f"write {'StringNotLike' if 'Not' in written.base else 'StringLike'}",
                    )


LITERAL_WILDCARD: Final = Rule("literal-wildcard", Level.USELESS, _check)
