"""``troth decision``: what the gateway refused, and why."""

from dataclasses import asdict
from typing import Annotated

import typer

from troth.cli.output import answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.registry import decisions
from troth.store.read import read

app = typer.Typer()


@app.command("list")
def list_(
    denied: Annotated[bool, typer.Option("--denied", help="Only refusals.")] = False,
    counts: Annotated[
        bool, typer.Option("--counts", help="Instead: how often each outcome came, since the birth.")
    ] = False,
    limit: LimitOption = 50,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the gateway's last decisions, oldest first: failed handshakes, refused connections, denied messages."""
    with opened(home) as here, read(here.db) as connection:
        if counts:
            counted = [{**asdict(key), "count": count} for key, count in decisions.list_counts(connection).items()]
            answer_table(counted, ["action", "outcome", "reason", "count"], as_json=as_json, empty="nothing yet")
            return
        found = decisions.list_decisions(connection, denied=denied, limit=limit)
    columns = ["id", "at", "address", "thing", "action", "resource", "outcome", "reason"]
    answer_table([asdict(each) for each in found], columns, as_json=as_json, empty="no decisions")


@app.callback()
def decision() -> None:
    """Keep ``list`` a word of its own, although it is the only one yet."""
