"""How commands answer: results to stdout, everything else to stderr, faults with an exit code of their own.

The table of exit codes is the command line's rendering of `troth.errors.Kind`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from troth.errors import Fault, Kind

EXIT_CODES: Final[dict[Kind, int]] = {
    Kind.MALFORMED: 10,
    Kind.UNAUTHENTICATED: 11,
    Kind.FORBIDDEN: 12,
    Kind.NOT_FOUND: 13,
    Kind.CONFLICT: 14,
    Kind.REJECTED: 15,
    Kind.BAD_KEY: 16,
    Kind.TOO_LARGE: 17,
    Kind.RATE_LIMITED: 18,
    Kind.EXPIRED: 19,
    Kind.UNSUPPORTED: 20,
    Kind.UNAVAILABLE: 21,
    Kind.MISCONFIGURED: 22,
}
EXIT_INTERNAL: Final = 70
WIDE: Final = 200


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def answer(value: object, text: str, *, as_json: bool) -> None:
    """Print the result: `value` as JSON to stdout, or `text` for a person."""
    if as_json:
        print(json.dumps(value, default=_jsonable, ensure_ascii=False), flush=True)  # noqa: T201
    else:
        print(text, flush=True)  # noqa: T201


def answer_table(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str = "none"
) -> None:
    """Print `rows` as a JSON list, or as a table of `columns` for a person."""
    if as_json:
        answer(list(rows), "", as_json=True)
        return
    if not rows:
        print(empty, flush=True)  # noqa: T201
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    # Not a terminal: whoever reads it wants whole rows.
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def fail(fault: Fault, *, as_json: bool) -> int:
    """Print the fault where it belongs and return the exit code of its kind."""
    if as_json:
        error = {"kind": fault.kind, "message": fault.message, "hint": fault.hint}
        answer({"error": error}, "", as_json=True)
    say(f"troth: {fault.message}")
    for part in fault.parts:
        say(f"  - {part.message}")
    if fault.hint:
        say(f"  hint: {fault.hint}")
    return EXIT_CODES[fault.kind]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, Mapping):
        return " ".join(f"{key}={each}" for key, each in value.items()) or "-"
    return str(value)


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
