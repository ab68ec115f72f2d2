"""``troth enrollment``: who may come, how they prove it, and what they get; TOML in, journaled."""

from typing import Annotated, Final

import typer

from troth.cli.documents import read_bounded_text
from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, opened
from troth.enrollment.enrollments import (
    EnrollmentText,
    create_enrollment,
    delete_enrollment,
    get_enrollment,
    list_enrollments,
    update_enrollment,
)
from troth.enrollment.newcomers import readmit as readmit_thing
from troth.journal.change import change
from troth.store.read import read

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The enrollment's name: the label of its EST path.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The enrollment in TOML; - is stdin.")]

_LISTED: Final = ["name", "profile", "proofs", "enabled", "version"]


@app.command()
def create(file: FileArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Let devices come in a new way, under the name in the file."""
    document = read_bounded_text(file)
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        made = create_enrollment(changing, document)
    answer(_row(made), f"created enrollment {made.name}", as_json=as_json)


@app.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List the ways in which devices may come."""
    with opened(home) as here, read(here.db) as connection:
        found = list_enrollments(connection, after, limit)
    answer_table([_row(each) for each in found], _LISTED, as_json=as_json, empty="no enrollments")


@app.command()
def show(
    name: NameArgument,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show an enrollment's text, to edit and give to update."""
    with opened(home) as here, read(here.db) as connection:
        found = get_enrollment(connection, name)
    answer({**_row(found), "document": found.document}, found.document.removesuffix("\n"), as_json=as_json)


@app.command()
def update(file: FileArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Put another text in the place of the enrollment's of that name, the built-in one's too."""
    document = read_bounded_text(file)
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        updated = update_enrollment(changing, document)
    answer(_row(updated), f"enrollment {updated.name} is version {updated.version}", as_json=as_json)


@app.command()
def delete(name: NameArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Let nobody come in this way any more. Certificates that it has given stay in force."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        delete_enrollment(changing, name)
    answer({"name": name, "deleted": True}, f"deleted enrollment {name}", as_json=as_json)


@app.command()
def readmit(
    thing: Annotated[str, typer.Argument(metavar="THING", help="The thing's name.")],
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Let the next device that proves a thing's name have it: after a repair, or when it was withdrawn by mistake."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        readmit_thing(changing, thing)
    answer({"thing": thing, "readmitted": True}, f"{thing} may be enrolled anew", as_json=as_json)


def _row(found: EnrollmentText) -> dict[str, object]:
    definition = found.definition
    return {
        "name": found.name,
        "profile": definition.profile,
        "proofs": "+".join(definition.proofs),
        "enabled": definition.enabled,
        "version": found.version,
        "built_in": found.version == 0,
        "updated_at": found.updated_at,
    }
