"""``troth thing``: devices and services that have an identity."""

from typing import Annotated

import typer

from troth.cli.output import answer, answer_table, say
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.cli.thing_import import import_
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.policy.attachment import TargetKind
from troth.registry import groups, policies, things, types
from troth.registry.inventory import Search, list_certificates
from troth.registry.things import Thing
from troth.store.read import read

app = typer.Typer()

AttributeOption = Annotated[list[str] | None, typer.Option("--attribute", metavar="K=V", help="May be repeated.")]

app.command("import")(import_)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, ':', '_' and '-', up to 128.")],
    type: Annotated[
        str | None, typer.Option("--type", help="Its thing type; made if there is none of that name.")
    ] = None,
    attribute: AttributeOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Create a thing. Creating the same thing again changes nothing."""
    attributes = pairs(attribute)
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        if type is not None and types.find_type(changing.connection, type) is None:
            types.create_type(changing, type)
            say(f"made the thing type {type}")
        made = things.create_thing(changing, name, type, attributes)
    answer(_row(made), f"created thing {name}", as_json=as_json)


@app.command("list")
def list_(
    type: Annotated[str | None, typer.Option("--type", help="Only things of this type.")] = None,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List things by name."""
    with opened(home) as here, read(here.db) as connection:
        found = things.list_things(connection, after, limit, type=type)
    answer_table([_row(each) for each in found], ["name", "type", "attributes"], as_json=as_json, empty="no things")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The thing's name.")], home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Show a thing with its policies, groups and certificates."""
    with opened(home) as here, read(here.db) as connection:
        thing = things.get_thing(connection, name)
        attached = policies.list_attached(connection, policies.Target(TargetKind.THING, name))
        into = groups.list_groups_of(connection, name)
        held = list_certificates(connection, Search(thing=name))
    value = {
        **_row(thing),
        "policies": attached,
        "groups": into,
        "certificates": [{"certificate_id": each.certificate_id, "state": each.state} for each in held],
    }
    lines = [
        f"name          {thing.name}",
        f"type          {thing.type or '-'}",
        *(f"attribute     {key}={each}" for key, each in thing.attributes.items()),
        f"created       {thing.created_at:%Y-%m-%d %H:%M:%SZ}",
        *(f"policy        {each}" for each in attached),
        *(f"group         {each}" for each in into),
        *(f"certificate   {each.certificate_id[:16]}  {each.state}  until {each.not_after:%Y-%m-%d}" for each in held),
    ]
    answer(value, "\n".join(lines), as_json=as_json)


def pairs(attributes: list[str] | None) -> dict[str, str]:
    """Return attributes as they are given on the command line. Raises `Fault` (malformed)."""
    return dict(map(_pair, attributes or ()))


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator:
        raise Fault(Kind.MALFORMED, f"{text[:40]!r} is not K=V", hint="write --attribute room=kitchen")
    return key, value


def _row(thing: Thing) -> dict[str, object]:
    return {
        "name": thing.name,
        "type": thing.type,
        "attributes": dict(thing.attributes),
        "version": thing.version,
        "created_at": thing.created_at,
    }
