"""``troth request``: devices whose enrollment waits for a person's word."""

from datetime import datetime
from typing import Annotated, Final

import typer

from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, opened
from troth.enrollment.requests import (
    RequestState,
    WaitingRequest,
    approve_request,
    deny_request,
    get_request,
    list_requests,
)
from troth.journal.change import change
from troth.store.read import read

app = typer.Typer()

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The request's id, or its beginning.")]

_LISTED: Final = ["request_id", "enrollment", "thing", "state", "key_digest", "expires_at"]


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that are decided or over, too.")] = False,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this id.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the requests that wait."""
    with opened(home) as here, read(here.db) as connection:
        now = here.clock.now()
        state = None if every else RequestState.WAITING
        found = list_requests(connection, state=state, after=after, limit=limit)
    rows = [_row(each, now) for each in found if every or each.state_at(now) is RequestState.WAITING]
    answer_table(rows, _LISTED, as_json=as_json, empty="no requests wait")


@app.command()
def show(request_id: IdArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a request, and what has been proven beside."""
    with opened(home) as here, read(here.db) as connection:
        row = _row(get_request(connection, request_id), here.clock.now())
    answer(row, "\n".join(f"{key.replace('_', ' '):<15}{value}" for key, value in row.items()), as_json=as_json)


@app.command()
def approve(request_id: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Let a device in. Compare the digest of its key with what the device shows, where it can."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        row = _row(approve_request(changing, request_id), changing.at)
    answer(row, f"approved: {row['thing']} gets its certificate when it asks again", as_json=as_json)


@app.command()
def deny(request_id: IdArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Turn a request down. It stays turned down; the device may ask with another key."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        row = _row(deny_request(changing, request_id), changing.at)
    answer(row, f"denied: {row['thing']}", as_json=as_json)


def _row(found: WaitingRequest, at: datetime) -> dict[str, object]:
    return {
        "request_id": found.request_id,
        "enrollment": found.enrollment,
        "thing": found.thing,
        "state": found.state_at(at),
        "key_digest": found.key_digest,
        "request_digest": found.request_digest,
        "evidence": found.evidence,
        "address": found.address,
        "created_at": found.created_at,
        "expires_at": found.expires_at,
        "decided_at": found.decided_at,
        "decided_by": found.decided_by,
        "intent_id": found.intent_id,
    }
