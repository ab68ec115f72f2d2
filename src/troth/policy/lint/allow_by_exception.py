"""An Allow of everything but what it names: whatever comes to be later is allowed too."""

from collections.abc import Iterator
from typing import Final

from troth.policy.lint.rule import Case, Found, Level, Rule
from troth.policy.statement import Effect


def _check(case: Case) -> Iterator[Found]:
    for statement in case.document.statements:
        if statement.effect is not Effect.ALLOW:
            continue
        written = statement.written
        for element, plain in ((written.action_element, "Action"), (written.resource_element, "Resource")):
            if element != plain:
                yield Found(
                    f"{written.place}.{element}",
                    f"{element} in an Allow allows all but what it names, also what nobody has thought of",
                    f"name what is allowed in {plain}, or deny what is named in a statement of its own",
                )


ALLOW_BY_EXCEPTION: Final = Rule("allow-by-exception", Level.DANGEROUS, _check)
