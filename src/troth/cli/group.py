"""``troth group``: things that are looked after together; a group's policies reach all things in it."""

from typing import Annotated

import typer

from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, opened
from troth.cli.thing import AttributeOption, pairs
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.policy.attachment import TargetKind
from troth.registry import groups, policies
from troth.registry.groups import Group
from troth.store.read import read

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="The group's name.")]
ThingsArgument = Annotated[list[str], typer.Argument(metavar="THING...", help="The things.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="What it is for.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Letters, digits, ':', '_' and '-', up to 128.")],
    parent: Annotated[str | None, typer.Option("--parent", metavar="GROUP", help="The group that it is below.")] = None,
    description: DescriptionOption = None,
    attribute: AttributeOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Create a group, on its own or below another, where it stays. Creating the same group again changes nothing."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        made = groups.create_group(changing, name, parent, description or "", pairs(attribute))
    answer(_row(made), f"created group {name}", as_json=as_json)


@app.command("list")
def list_(
    parent: Annotated[
        str | None, typer.Option("--parent", metavar="GROUP", help="Only those right below this one.")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List groups by name."""
    with opened(home) as here, read(here.db) as connection:
        if parent is not None:
            groups.get_group(connection, parent)
        found = groups.list_groups(connection, after, limit, parent=parent)
    rows = [_row(each) for each in found]
    answer_table(rows, ["name", "parent", "description", "attributes"], as_json=as_json, empty="no groups")


@app.command()
def show(
    name: NameArgument,
    after: Annotated[str | None, typer.Option("--after", metavar="THING", help="Go on after this thing.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a group with its policies, what is above and right below it, and the things that were put into it."""
    with opened(home) as here, read(here.db) as connection:
        group = groups.get_group(connection, name)
        attached = policies.list_attached(connection, policies.Target(TargetKind.GROUP, name))
        above = groups.list_ancestors(connection, name)[1:]
        below = [each.name for each in groups.list_groups(connection, parent=name)]
        members = groups.list_members(connection, name, after, limit)
    value = {**_row(group), "policies": attached, "above": above, "below": below, "things": members}
    lines = [
        f"name          {group.name}",
        f"description   {group.description or '-'}",
        *(f"attribute     {key}={each}" for key, each in group.attributes.items()),
        *(f"above         {each}" for each in above),
        *(f"below         {each}" for each in below),
        *(f"policy        {each}" for each in attached),
        *(f"thing         {each}" for each in members),
    ]
    answer(value, "\n".join(lines), as_json=as_json)


@app.command()
def update(
    name: NameArgument,
    description: DescriptionOption = None,
    attribute: AttributeOption = None,
    no_attributes: Annotated[bool, typer.Option("--no-attributes", help="Take all attributes away.")] = False,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Give a group another description, or other attributes in the place of all it has; what is not named stays."""
    if attribute and no_attributes:
        raise Fault(Kind.MALFORMED, "attributes are given, and none are wanted", hint="leave out --no-attributes")
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        before = groups.get_group(changing.connection, name)
        attributes = pairs(attribute) if attribute or no_attributes else before.attributes
        said = before.description if description is None else description
        made = groups.update_group(changing, name, said, attributes)
    changed = made.version != before.version
    answer({**_row(made), "changed": changed}, f"group {name}, version {made.version}", as_json=as_json)


@app.command()
def delete(name: NameArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """End a group with none below it. Its things stay, and lose at once what its policies allowed them."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        groups.delete_group(changing, name)
    answer({"name": name, "deleted": True}, f"deleted group {name}", as_json=as_json)


@app.command()
def add(
    name: NameArgument,
    things: ThingsArgument,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put things into a group, all or none. Its policies, and those above it, count for them at once."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        added = [each for each in things if groups.add_member(changing, name, each)]
    answer({"group": name, "added": added}, f"put {len(added)} into group {name}", as_json=as_json)


@app.command()
def remove(
    name: NameArgument,
    things: ThingsArgument,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Take things out of a group, all or none. What its policies allowed them ends at once."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        for each in things:
            groups.remove_member(changing, name, each)
    answer({"group": name, "removed": things}, f"took {len(things)} out of group {name}", as_json=as_json)


def _row(group: Group) -> dict[str, object]:
    return {
        "name": group.name,
        "parent": group.parent,
        "description": group.description,
        "attributes": dict(group.attributes),
        "version": group.version,
        "created_at": group.created_at,
    }
