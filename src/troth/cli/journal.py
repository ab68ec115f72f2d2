"""``troth journal``: the record of every change."""

from typing import Annotated

import typer

from troth.cli.output import answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.journal.tail import head, read_after
from troth.store.read import read

app = typer.Typer()


@app.command()
def show(
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="Entries after this number; default: the last.")
    ] = None,
    limit: LimitOption = 50,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show the journal's entries, oldest first: who changed what, when and why."""
    with opened(home) as here:
        if after is None:
            with read(here.db) as connection:
                after = max(0, head(connection) - limit)
        entries = read_after(here.db, after, limit)
    rows = [
        {
            "number": entry.number,
            "at": entry.at,
            "actor": entry.actor,
            "kind": entry.kind,
            "subject": entry.subject,
            "why": entry.why,
            "data": dict(entry.data),
        }
        for entry in entries
    ]
    answer_table(rows, ["number", "at", "actor", "kind", "subject"], as_json=as_json, empty="no entries")


@app.callback()
def journal() -> None:
    """Keep ``show`` a word of its own, although it is the only one yet."""
