"""``troth policy vectors``: the engines put to a file of decided cases. Needs neither a home nor the server."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from troth.cli.documents import read_bounded_text
from troth.cli.output import answer
from troth.cli.server import JsonOption
from troth.errors import Fault, Kind
from troth.policy.decision import Outcome
from troth.policy.vectors import ENGINES, Disagreement, Unreadable, disagreement, read_vectors

_DISAGREED: Final = 1
_WORDS: Final = {outcome: "deny" if outcome is Outcome.EXPLICIT_DENY else outcome.value for outcome in Outcome}
"""Outcomes as files of cases write them."""


class Choice(StrEnum):
    """Which engines are put to the cases."""

    REFERENCE = "reference"
    FAST = "fast"
    BOTH = "both"


def vectors(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The cases, in JSON; - is stdin.")],
    engine: Annotated[
        Choice, typer.Option("--engine", help="reference is what policies mean; fast is what the gateway asks.")
    ] = Choice.BOTH,
    as_json: JsonOption = False,
) -> None:
    """Put a file of decided cases to the policy engines. Exits with 1 unless all agree."""
    cases = read_vectors(read_bounded_text(file))
    if not cases:
        raise Fault(Kind.MALFORMED, "the file holds no case", hint="give an array of cases")
    engines = tuple(ENGINES) if engine is Choice.BOTH else (engine.value,)
    wrong: list[Disagreement | Unreadable] = []
    for case in cases:
        found = case if isinstance(case, Unreadable) else disagreement(case, engines)
        if found is not None:
            wrong.append(found)
    agreed = len(cases) - len(wrong)
    value = {
        "total": len(cases),
        "agreed": agreed,
        "engines": engines,
        "disagreements": [_value(each) for each in wrong],
    }
    lines = [*(_line(each) for each in wrong), f"{agreed} of {len(cases)} agree"]
    answer(value, "\n".join(lines), as_json=as_json)
    if wrong:
        raise typer.Exit(_DISAGREED)


def _value(wrong: Disagreement | Unreadable) -> dict[str, object]:
    if isinstance(wrong, Unreadable):
        return {"id": wrong.name, "problem": wrong.problem}
    vector = wrong.vector
    return {
        "id": vector.question.name,
        "expected": _WORDS[vector.expect],
        "got": {name: _WORDS[decision.outcome] for name, decision in wrong.got.items()},
        "reasons": {name: decision.reason for name, decision in wrong.got.items()},
        "why": vector.why,
        "source": vector.source,
    }


def _line(wrong: Disagreement | Unreadable) -> str:
    if isinstance(wrong, Unreadable):
        return f"{wrong.name}: cannot be read: {wrong.problem}"
    vector = wrong.vector
    got = "; ".join(
        f"{name} says {_WORDS[decision.outcome]}, {decision.reason}" for name, decision in wrong.got.items()
    )
    why = f" ({vector.why})" if vector.why else ""
    return f"{vector.question.name}: expected {_WORDS[vector.expect]}{why}; {got}"
