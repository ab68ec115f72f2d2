"""``troth journal``: the record of every change.

What works on files alone needs nothing of the server, so each command on a home loads that for itself.
"""

from typing import Annotated

import typer

from troth.cli.journal_carry import anchor, export, prove
from troth.cli.journal_verify import verify
from troth.cli.output import answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.errors import Fault, Kind

app = typer.Typer()


@app.command()
def show(
    after: Annotated[
        int | None, typer.Option("--after", min=0, help="The entries after this number, not the last ones.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only about this: a thing's name, a certificate's id, ...")
    ] = None,
    limit: LimitOption = 50,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show the journal's last entries, oldest first: who changed what, when and why."""
    from troth.journal.entries import list_after, list_before
    from troth.store.read import read

    if after is not None and subject is not None:
        raise Fault(Kind.UNSUPPORTED, "--after and --subject do not go together", hint="leave one of them out")
    with opened(home) as here, read(here.db) as connection:
        if after is not None:
            entries = list_after(connection, after, limit)
        else:
            entries = list_before(connection, subject=subject, limit=limit)[::-1]
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


app.command()(verify)
app.command()(export)
app.command()(prove)
app.command()(anchor)
