"""``troth policy diff``: which requests come out otherwise by another document. Needs neither a home nor the server."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from troth.cli.documents import read_document, read_requests, require_one_stdin
from troth.cli.output import answer, answer_table
from troth.cli.server import JsonOption
from troth.policy.attachment import NamedPolicy
from troth.policy.decision import Decision
from troth.policy.questions import Question
from troth.policy.reference import evaluate
from troth.policy.sampling import sample
from troth.policy.situation import realm_of

_CHANGED: Final = 1


@dataclass(frozen=True, slots=True)
class _Change:
    """A request that comes out otherwise."""

    question: Question
    old: Decision
    new: Decision


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The policy document as it is; - is stdin.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The policy document as it is to be; - is stdin.")],
    requests: Annotated[
        str | None,
        typer.Option("--requests", metavar="FILE", help="The requests to compare by; if none, they are made up."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which requests come out otherwise by another document. Exits with 1 when one does.

    Without requests, some are made up from both documents: that none of them changes proves nothing.
    """
    require_one_stdin(old, new, requests)
    before, after = NamedPolicy("OLD", read_document(old)), NamedPolicy("NEW", read_document(new))
    complete = True
    if requests is None:
        documents = (before.document, after.document)
        made = sample(documents, realm_of(documents))
        questions, complete = made.questions, made.complete
    else:
        questions = read_requests(requests, (before, after))
    changes = list(_changes(before, after, questions))
    if as_json:
        rows = [_row(change) for change in changes]
        value = {"requests": len(questions), "made_up": requests is None, "complete": complete, "changed": rows}
        answer(value, "", as_json=True)
    else:
        _tell(changes, len(questions), made_up=requests is None, complete=complete)
    if changes:
        raise typer.Exit(_CHANGED)


def _changes(before: NamedPolicy, after: NamedPolicy, questions: Iterable[Question]) -> Iterable[_Change]:
    for question in questions:
        old, new = _decide(before, question), _decide(after, question)
        if old.outcome is not new.outcome:
            yield _Change(question, old, new)


def _decide(policy: NamedPolicy, question: Question) -> Decision:
    return evaluate([policy], question.action, question.resource, question.context)


def _row(change: _Change) -> dict[str, object]:
    return {
        "name": change.question.name,
        "action": change.question.action,
        "resource": change.question.resource,
        "old": change.old.outcome,
        "new": change.new.outcome,
        "old_reason": change.old.reason,
        "new_reason": change.new.reason,
    }


def _tell(changes: Sequence[_Change], count: int, *, made_up: bool, complete: bool) -> None:
    rows = _examples(changes) if made_up else [_short(change) for change in changes]
    if rows:
        columns = ["name", "action", "resource", "old", "new", *(["more"] if made_up else [])]
        answer_table(rows, columns, as_json=False)
    what = "requests made up from both" if made_up else "requests"
    rest = "" if complete else " (more could be made up)"
    answer(None, f"{len(changes)} of {count} {what} change{rest}", as_json=False)


def _examples(changes: Iterable[_Change]) -> list[dict[str, object]]:
    """Return one of all requests that change alike, and how many more there are: made-up ones say no more than that."""
    alike: dict[object, list[_Change]] = {}
    for change in changes:
        alike.setdefault((change.question.action, change.old.deciding, change.new.deciding), []).append(change)
    return [{**_short(first), "more": len(others)} for first, *others in alike.values()]


def _short(change: _Change) -> dict[str, object]:
    return {**_row(change), "old": _decided(change.old), "new": _decided(change.new)}


def _decided(decision: Decision) -> str:
    by = "" if decision.deciding is None else f" (statement {decision.deciding.number})"
    return f"{decision.outcome}{by}"
