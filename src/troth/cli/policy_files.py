"""``troth policy`` on files alone: checks, warnings, simulations. Needs neither a home nor the server."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from troth.cli.documents import (
    FileArgument,
    FilesArgument,
    read_document,
    read_policies,
    read_requests,
    require_one_stdin,
)
from troth.cli.output import answer, answer_table
from troth.cli.server import JsonOption, opened
from troth.limits import PRESETS
from troth.policy.attachment import NamedPolicy
from troth.policy.decision import Decision
from troth.policy.lint import Finding
from troth.policy.lint import lint as lint_document
from troth.policy.questions import Question
from troth.policy.reference import evaluate

_NOT_AS_IT_SHOULD_BE: Final = 1
"""Exit code of a command that has run and found something."""


class Preset(StrEnum):
    """The sets of limits that a document can be held to."""

    DEFAULT = "default"
    AWS = "aws"


def validate(
    file: FileArgument,
    limits: Annotated[Preset, typer.Option("--limits", help="Whose limits; aws is strict.")] = Preset.DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Check a policy document without a home."""
    document = read_document(file, PRESETS[limits])
    count = len(document.statements)
    answer({"valid": True, "statements": count}, f"valid: {count} statements", as_json=as_json)


def lint(
    file: FileArgument,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="A home, to find resources of other regions and accounts than its own."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is legal in a policy document, and dangerous or useless. Exits with 1 when it finds anything.

    docs/policies/lint.md explains each finding.
    """
    document = read_document(file)
    realm = None
    if home is not None:
        with opened(home) as here:
            realm = here.settings.realm
    findings = lint_document(document, realm)
    value = [
        {
            "code": each.code,
            "level": each.level,
            "place": each.place,
            "reason": each.reason,
            "remedy": each.remedy,
            "aws": each.aws,
        }
        for each in findings
    ]
    answer(value, _findings(findings), as_json=as_json)
    if findings:
        raise typer.Exit(_NOT_AS_IT_SHOULD_BE)


def simulate(
    files: FilesArgument,
    requests: Annotated[str, typer.Option("--requests", metavar="FILE", help="The requests, in JSON; - is stdin.")],
    as_json: JsonOption = False,
) -> None:
    """Decide a file of requests by policies of one certificate. Exits with 1 when one is not as it expects."""
    require_one_stdin(*files, requests)
    policies = read_policies(files)
    rows: list[dict[str, object]] = []
    for question in read_requests(requests, policies):
        decision = _decide(policies, question)
        row: dict[str, object] = {
            "name": question.name,
            "action": question.action,
            "resource": question.resource,
            "decision": decision.outcome,
            "reason": decision.reason,
        }
        if question.expect is not None:
            row["expected"] = question.expect
            row["as_expected"] = question.expect is decision.outcome
        rows.append(row)
    wrong = [row for row in rows if row.get("as_expected") is False]
    columns = ["name", "action", "resource", "decision", "reason", *(["expected"] if wrong else [])]
    answer_table(rows, columns, as_json=as_json, empty="no requests")
    if wrong:
        raise typer.Exit(_NOT_AS_IT_SHOULD_BE)


def _decide(policies: tuple[NamedPolicy, ...], question: Question) -> Decision:
    return evaluate(policies, question.action, question.resource, question.context)


def _findings(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return "nothing found"
    lines: list[str] = []
    for finding in findings:
        also = f", {finding.aws}" if finding.aws else ""
        lines += [
            f"{finding.place}: {finding.code} ({finding.level}{also})",
            f"  {finding.reason}",
            f"  remedy: {finding.remedy}",
        ]
    levels = Counter(finding.level for finding in findings)
    counts = ", ".join(f"{count} {level}" for level, count in levels.items())
    return "\n".join([*lines, f"{len(findings)} found: {counts}"])
