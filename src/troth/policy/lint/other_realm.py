"""A resource of another region or account than the home that the document is for: it matches nothing there."""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.pattern import parse_glob
from troth.policy.showing import shown

_PARTS: Final = ((1, "partition"), (3, "region"), (4, "account"))


def _check(case: Case) -> Iterator[Found]:
    if case.realm is None:
        return
    here = case.realm.arn("", "").split(":")
    for statement in case.document.statements:
        for word in statement.written.resources:
            parts = word.text.split(":", 5)
            if len(parts) <= len(_PARTS) + 2:
                continue
            other = [(name, place) for place, name in _PARTS if not parse_glob(parts[place]).matches(here[place])]
            for name, place in other:
                yield Found(
                    word.place,
                    f"its {name} is {shown(parts[place])}, and this home's is {here[place]}: it matches nothing here",
                    f"write {here[place]}, or set {name} under [aws] in the settings",
                )


OTHER_REALM: Final = Rule("other-realm", Level.USELESS, _check)
