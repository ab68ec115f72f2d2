"""``troth session``: who is connected now."""

from dataclasses import asdict
from typing import Annotated

import typer

from troth.cli.output import answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.registry import sessions
from troth.store.read import read

app = typer.Typer()


@app.command("list")
def list_(
    thing: Annotated[str | None, typer.Option("--thing", help="Only this thing's.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List live connections, as of the last second."""
    with opened(home) as here, read(here.db) as connection:
        found = sessions.list_sessions(connection, here.clock.now(), thing=thing, limit=limit)
    columns = ["client_id", "thing", "address", "since", "worker"]
    answer_table([asdict(each) for each in found], columns, as_json=as_json, empty="nobody is connected")


@app.callback()
def session() -> None:
    """Keep ``list`` a word of its own, although it is the only one yet."""
