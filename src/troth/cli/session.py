"""``troth session``: who is connected now, and sending them away."""

from dataclasses import asdict
from typing import Annotated

import typer

from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, Opened, WhyOption, opened
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.registry import certificates, sessions, things
from troth.registry.kicks import kick as kick_sessions
from troth.registry.sessions import Which
from troth.store.read import read

app = typer.Typer()

_COLUMNS = ["client_id", "thing", "address", "since", "worker"]
ClientOption = Annotated[str | None, typer.Option("--client", metavar="CLIENT_ID", help="Of this client id.")]
ThingOption = Annotated[str | None, typer.Option("--thing", help="Of this thing.")]
CertOption = Annotated[
    str | None, typer.Option("--cert", metavar="ID", help="Of this certificate's holder; how its id begins is enough.")
]


@app.command("list")
def list_(
    client: ClientOption = None,
    thing: ThingOption = None,
    cert: CertOption = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the live connections of every worker on every host, as of the last second."""
    with opened(home) as here:
        which = _which(here, client, thing, cert)
        with read(here.db) as connection:
            found = sessions.list_sessions(connection, here.clock.now(), which, limit=limit)
    answer_table([asdict(each) for each in found], _COLUMNS, as_json=as_json, empty="nobody is connected")


@app.command()
def kick(
    client: ClientOption = None,
    thing: ThingOption = None,
    cert: CertOption = None,
    no_will: Annotated[bool, typer.Option("--no-will", help="Do not have their wills published.")] = False,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """End live connections, on whichever worker and host: those that meet every option given. They may come again."""
    with opened(home) as here:
        which = _which(here, client, thing, cert)
        if which == sessions.EVERY:
            hint = "give --client CLIENT_ID, --thing T or --cert ID"
            raise Fault(Kind.MALFORMED, "say whose connections", hint=hint)
        with change(here.db, here.clock, here.actor, why) as changing:
            listed = kick_sessions(changing, which, sends_will=not no_will)
    said = {**asdict(which), "will": not no_will, "listed": listed, "entry": changing.last}
    text = f"told every gateway to end them; {listed} were listed a moment ago"
    answer(said, text, as_json=as_json)


def _which(here: Opened, client: str | None, thing: str | None, cert: str | None) -> Which:
    """Return which sessions the options mean. Raises `Fault` (not found) for a thing or certificate there is not."""
    with read(here.db) as connection:
        if thing is not None:
            things.get_thing(connection, thing)
        identity = certificates.get_certificate(connection, cert).certificate_id if cert is not None else None
    return Which(client, thing, identity)
