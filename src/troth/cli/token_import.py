"""``troth token import``: tokens for a whole fleet, from a list of things to a list of tokens."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer
from rich.console import Console
from rich.progress import Progress

from troth.cli.output import EXIT_CODES, answer, say
from troth.cli.server import HOME, HomeOption, JsonOption, WhyOption, duration, opened
from troth.enrollment.token_batches import create_tokens
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import TOKENS_PER_CHANGE_MAX

_COLUMN: Final = "thing"
_LINE_CHARS_MAX: Final = 4096
_FAULTS_TOLD_MAX: Final = 20


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A list of things, under the heading thing.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Write things and tokens to this new file.")],
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long each is good for.")] = "30d",
    profile: Annotated[str, typer.Option("--profile", help="The profile of their certificates.")] = "device",
    create_things: Annotated[bool, typer.Option("--create-things", help="Make things that are not there.")] = False,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make tokens for many things at once. They are in the file that is written, and nowhere else ever again."""
    made = 0
    faults: list[Fault] = []
    with opened(home) as here, _things(file) as (things, count), _written(out) as write_row:
        limits, lives = here.settings.limits.resolve(), duration(ttl)
        with _progress(count) as progress:
            task = progress.add_task("tokens", total=count)
            while batch := list(islice(things, TOKENS_PER_CHANGE_MAX)):
                with change(here.db, here.clock, here.actor, why) as changing:
                    outcomes = create_tokens(
                        changing, batch, lives, profile=profile, creates=create_things, limits=limits
                    )
                for outcome in outcomes:
                    if isinstance(outcome, Fault):
                        faults.append(outcome)
                        continue
                    write_row((outcome.token.thing, outcome.secret, outcome.token.expires_at.isoformat()))
                    made += 1
                progress.advance(task, len(batch))
    for fault in faults[:_FAULTS_TOLD_MAX]:
        say(f"troth: {fault.message}")
    value = {"tokens": made, "refused": len(faults), "file": str(out)}
    answer(value, f"made {made:,} tokens, in {out}; {len(faults):,} refused", as_json=as_json)
    if faults:
        raise typer.Exit(EXIT_CODES[faults[0].kind])


@contextmanager
def _things(file: Path) -> Iterator[tuple[Iterator[str], int]]:
    """Yield the things of a list, and how many lines it has."""
    try:
        with file.open("rb") as raw:
            count = sum(chunk.count(b"\n") for chunk in iter(lambda: raw.read(1 << 20), b""))
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.DictReader(_bounded(text), strict=True)
            if _COLUMN not in (reader.fieldnames or ()):
                raise Fault(Kind.MALFORMED, "the first line does not name the column thing", hint="begin with: thing")
            yield (str(row[_COLUMN]) for row in reader), max(0, count - 1)
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"the list {file} cannot be read", detail=str(error), hint=str(error)) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Fault(Kind.MALFORMED, f"the list {file} is no CSV in UTF-8", detail=str(error)) from error


def _bounded(text: TextIO) -> Iterator[str]:
    while line := text.readline(_LINE_CHARS_MAX + 1):
        if len(line) > _LINE_CHARS_MAX:
            raise Fault(Kind.TOO_LARGE, f"a line has more than {_LINE_CHARS_MAX} characters")
        yield line


@contextmanager
def _written(out: Path) -> Iterator[Callable[[Sequence[str]], object]]:
    """Yield what writes a row to a new file that nobody else can read."""
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Fault(Kind.CONFLICT, f"{out} exists already", hint="name a new file with --out") from None
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"{out} cannot be written", detail=str(error), hint=str(error)) from error
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("thing", "token", "expires_at"))
        yield writer.writerow


def _progress(count: int) -> Progress:
    return Progress(console=Console(stderr=True), disable=not sys.stderr.isatty() or count == 0)
