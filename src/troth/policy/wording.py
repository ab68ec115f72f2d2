"""An explanation in words: one text for the command line, the API, logs and the console.

Only puts into words what `troth.policy.explanation` holds. Whatever a device chose is shown printable and cut.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Final

from troth.policy.decision import Outcome
from troth.policy.explanation import (
    ActionFailed,
    ConditionFailed,
    Explanation,
    Failure,
    ResourceFailed,
    Substituted,
    Verdict,
)
from troth.policy.showing import shown
from troth.policy.statement import Effect

_LISTED_MAX: Final = 8
"""Patterns or values of one element that are shown."""
_CHANGES_MAX: Final = 3
"""Statements of which it is said what would let them apply: those that lack least."""
_SHOWN_CHARS: Final = 400
"""Characters of a pattern or value that are shown: more than in a log, since often its end is what matters."""
_INDENT: Final = "  "


def render(explanation: Explanation) -> str:
    """Return the whole explanation, without a line break at its end."""
    lines = [*_head(explanation)]
    policy = None
    for verdict in explanation.verdicts:
        if policy != (verdict.policy, verdict.target):
            policy = (verdict.policy, verdict.target)
            lines += ["", f"policy {_policy(verdict)}"]
        lines += [_INDENT + line for line in _verdict(verdict)]
    changes = change(explanation)
    if changes:
        lines += ["", "what would have to change", *(_INDENT + line for line in changes)]
    return "\n".join(lines)


def describe(failure: Failure) -> list[str]:
    """Return what kept a statement from applying: one line that says it, and lines of detail."""
    if isinstance(failure, ActionFailed):
        said = "is not among" if failure.element == "Action" else "is excepted by"
        return [f"{failure.element}: {failure.action} {said} {_listed(failure.written)}"]
    if isinstance(failure, ResourceFailed):
        said = "no pattern matches" if failure.element == "Resource" else "the resource is excepted by"
        details = [line for pattern in failure.patterns[:_LISTED_MAX] for line in _pattern(pattern)]
        return [
            f"{failure.element}: {said}",
            *details,
            *_left_out(failure.patterns),
            *map(_hint, failure.hints[:_LISTED_MAX]),
        ]
    details = [line for value in failure.wanted[:_LISTED_MAX] for line in _missing(value)]
    return [f"Condition: {_condition(failure)}", *details]


def as_value(explanation: Explanation) -> dict[str, object]:
    """Return the whole explanation as values for JSON, each failure with its text."""
    decision = explanation.decision
    return {
        "decision": decision.outcome,
        "reason": decision.reason,
        "action": decision.action,
        "resource": decision.resource,
        "arn": explanation.arn,
        "deciding": [_reference(verdict) for verdict in explanation.deciding],
        "statements": [_verdict_value(verdict) for verdict in explanation.verdicts],
        "change": change(explanation),
    }


def change(explanation: Explanation) -> list[str]:
    """Return what would have to change for a denied request to be allowed; nothing where it is allowed."""
    if explanation.decision.allowed:
        return []
    if explanation.too_long:
        return ["the name is longer than any that a policy is asked about"]
    lines = [
        f"{_name(verdict)} must no longer apply: it denies, whatever else allows"
        for verdict in explanation.deciding
        if verdict.effect is Effect.DENY
    ]
    allowing = [verdict for verdict in explanation.verdicts if verdict.effect is Effect.ALLOW]
    if any(verdict.applies for verdict in allowing):
        return lines
    return [*lines, *_changes(explanation, allowing)]


def _changes(explanation: Explanation, allowing: Iterable[Verdict]) -> list[str]:
    near = [verdict for verdict in allowing if not isinstance(verdict.failures[0], ActionFailed)]
    if not near:
        return [f"a statement with the effect Allow would have to name {explanation.decision.action}; none does"]
    near.sort(key=lambda verdict: len(verdict.failures))  # stable: of equals, the first stays first
    # What every ARN of the request begins with is not repeated.
    head = explanation.arn.removesuffix(explanation.decision.resource)
    return [
        f"{_name(verdict)} would allow it, if {', and if '.join(_remedy(each, head) for each in verdict.failures)}"
        for verdict in near[:_CHANGES_MAX]
    ]


def _remedy(failure: Failure, head: str) -> str:
    """Return what would have to be so for a statement not to fail here."""
    if isinstance(failure, ConditionFailed):
        found = _listed(failure.found) if failure.absent is None else f"absent: {failure.absent}"
        return f"{_shown(failure.key)} satisfied {failure.operator} {_wanted(failure)} (it is {found})"
    assert isinstance(failure, ResourceFailed)
    if failure.element == "NotResource":
        return f"it were about what does not match {_listed(p.here or p.written for p in failure.patterns)}"
    known = [_shown(pattern.here.removeprefix(head)) for pattern in failure.patterns if pattern.here is not None]
    missing = dict.fromkeys(each for pattern in failure.patterns for each in pattern.missing)
    about = [f"it were about {_either(known)}"] if known else []
    return " or if ".join(
        [*about, *(f"{_shown(each.variable)} had a value that matches ({each.why})" for each in missing)]
    )


def _head(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    yield f"{decision.outcome}: {decision.reason}"
    yield f"asked: {decision.action} on {_shown(explanation.arn)}"
    others = explanation.deciding[1:]
    if others:
        yield f"so do: {', '.join(map(_name, others))}"
    if not explanation.policies:
        yield "no policy is attached"
    elif not explanation.verdicts and decision.outcome is Outcome.IMPLICIT_DENY and not explanation.too_long:
        yield f"without a statement: {_listed(explanation.policies)}"


def _verdict(verdict: Verdict) -> Iterator[str]:
    sid = f" {_shown(verdict.sid)}" if verdict.sid else ""
    says = "applies" if verdict.applies else "does not apply"
    yield f"statement {verdict.number}{sid} ({verdict.effect}) {says}"
    if verdict.failures:
        yield from (_INDENT + line for line in describe(verdict.failures[0]))


def _verdict_value(verdict: Verdict) -> dict[str, object]:
    return {
        **_reference(verdict),
        "sid": verdict.sid,
        "effect": verdict.effect,
        "applies": verdict.applies,
        "failures": [
            {
                "failed": type(failure).__name__.removesuffix("Failed").lower(),
                "text": describe(failure),
                **asdict(failure),
            }
            for failure in verdict.failures
        ],
    }


def _reference(verdict: Verdict) -> dict[str, object]:
    return {"policy": verdict.policy, "statement": verdict.number}


def _pattern(pattern: Substituted) -> Iterator[str]:
    yield f"{_INDENT}{_shown(pattern.written)}"
    if pattern.here is not None and pattern.here != pattern.written:
        yield f"{_INDENT}= {_shown(pattern.here)} for this request"
    yield from _missing(pattern)


def _missing(value: Substituted) -> Iterator[str]:
    return (f"{_INDENT}{_shown(each.variable)} has no value: {each.why}" for each in value.missing)


def _condition(failure: ConditionFailed) -> str:
    found = f"is {_listed(failure.found)}" if failure.absent is None else f"is absent ({failure.absent})"
    return f"{_shown(failure.key)} {found}; {failure.operator} wants {_wanted(failure)}"


def _wanted(failure: ConditionFailed) -> str:
    return _listed(_value(value) for value in failure.wanted)


def _value(value: Substituted) -> str:
    return value.written if value.here in {None, value.written} else f"{value.written} = {value.here}"


def _listed(texts: Iterable[str]) -> str:
    kept = [_shown(text) for text in texts]
    more = f" and {len(kept) - _LISTED_MAX} more" if len(kept) > _LISTED_MAX else ""
    return (", ".join(f'"{text}"' for text in kept[:_LISTED_MAX]) or "no value at all") + more


def _either(texts: list[str]) -> str:
    more = [f"{len(texts) - _LISTED_MAX} more"] if len(texts) > _LISTED_MAX else []
    return " or ".join([*texts[:_LISTED_MAX], *more])


def _left_out(patterns: tuple[Substituted, ...]) -> list[str]:
    return [f"{_INDENT}and {len(patterns) - _LISTED_MAX} more"] if len(patterns) > _LISTED_MAX else []


def _hint(text: str) -> str:
    return f"{_INDENT}note: {text}"


def _name(verdict: Verdict) -> str:
    return f"statement {verdict.number} of policy {verdict.policy}"


def _policy(verdict: Verdict) -> str:
    return f"{verdict.policy} ({verdict.target_kind} {verdict.target})" if verdict.target else verdict.policy


def _shown(text: str) -> str:
    return shown(text, _SHOWN_CHARS)
