"""``troth token``: one-time tokens with which a device enrolls."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer

from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, duration, opened
from troth.cli.token_import import import_
from troth.enrollment import tokens
from troth.enrollment.tokens import Token
from troth.journal.change import change
from troth.store.read import read

app = typer.Typer()
app.command("import")(import_)


@app.command()
def create(
    thing: Annotated[str, typer.Option("--thing", help="The thing that may enroll with it.")],
    ttl: Annotated[str, typer.Option("--ttl", metavar="TIME", help="How long it is good for: 15m, 12h, 7d.")] = "15m",
    profile: Annotated[str, typer.Option("--profile", help="The profile of its certificate.")] = "device",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a token that lets one thing enroll once. It is shown now and never again."""
    with opened(home) as here:
        limits = here.settings.limits.resolve()
        with change(here.db, here.clock, here.actor) as changing:
            made = tokens.create_token(changing, thing, duration(ttl), profile=profile, limits=limits)
        row = _row(made.token, here.clock.now())
    # The secret alone on stdout, so that a script can catch it; pass it on by a file or a pipe, never as an argument.
    answer({**row, "token": made.secret}, made.secret, as_json=as_json)


@app.command("list")
def list_(
    thing: Annotated[str | None, typer.Option("--thing", help="Only this thing's.")] = None,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this id.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List tokens, without their secrets."""
    with opened(home) as here, read(here.db) as connection:
        now = here.clock.now()
        rows = [_row(each, now) for each in tokens.list_tokens(connection, thing=thing, after=after, limit=limit)]
    answer_table(rows, ["token_id", "thing", "state", "expires_at"], as_json=as_json, empty="no tokens")


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as listed.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take a token out of use. A certificate that it has brought stays in force."""
    with opened(home) as here:
        with change(here.db, here.clock, here.actor) as changing:
            revoked = tokens.revoke_token(changing, token_id)
        row = _row(revoked, here.clock.now())
    answer(row, f"revoked token {token_id}", as_json=as_json)


def _row(token: Token, now: datetime) -> dict[str, object]:
    return {**asdict(token), "state": token.state(now)}
