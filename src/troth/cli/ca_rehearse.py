"""``troth ca rehearse``: a rollover played in a temporary folder, before it is done."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from troth.app.doors import own_names
from troth.authority.ceremony import Ceremony
from troth.authority.rehearsal import Plan, Rehearsed
from troth.authority.rehearsal import rehearse as play
from troth.authority.stand_in import MemoryKeys
from troth.cli.output import answer
from troth.cli.server import HOME, HomeOption, JsonOption, duration, opened
from troth.registry.issuers import Issuer
from troth.store import migrate
from troth.store.connect import connect
from troth.store.read import read

ACTOR = "system:rehearsal"


def rehearse(
    line: Annotated[
        str, typer.Argument(metavar="[PURPOSE]", help="What is to be rolled over: root, devices, ...")
    ] = "root",
    retire_in: Annotated[
        str | None, typer.Option("--retire-in", metavar="TIME", help="When the old one is to be retired: 90d.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Play a rollover on a copy of the hierarchy, under keys of its own, and say what it would break.

    Nothing of the home changes, and no key of it is opened. Exits with 1 when something would break.
    """
    with opened(home) as here, tempfile.TemporaryDirectory(prefix="troth-rehearsal-") as folder:

        def is_here(issuer: Issuer) -> bool:
            return issuer.key_name.startswith("pkcs11:") or (here.home.path / issuer.key_name).exists()

        db = connect("sqlite:///rehearsal.db", Path(folder))
        try:
            migrate.upgrade(db)
            copy = Ceremony(db, here.clock, here.settings.site.public_url, MemoryKeys(), ACTOR)
            plan = Plan(
                line=line,
                site=here.settings.site.name,
                names=own_names(here.settings),
                is_here=is_here,
                retire_in=duration(retire_in) if retire_in else None,
            )
            with read(here.db) as connection:
                done = play(connection, copy, plan)
        finally:
            db.dispose()
    value = {
        "played": list(done.played),
        "breaks": done.breaks,
        "findings": [
            {"weight": each.weight.value, "check": each.check, "message": each.message} for each in done.findings
        ],
    }
    answer(value, _text(done), as_json=as_json)
    if done.breaks:
        raise typer.Exit(1)


def _text(done: Rehearsed) -> str:
    lines = [f"played: {', '.join(done.played) or 'nothing'}"]
    lines += [f"{each.weight.value:<6}  {each.check:<11}  {each.message}" for each in done.findings]
    lines.append("not to be done like this" if done.breaks else "nothing would break")
    return "\n".join(lines)
