"""``troth policy``: what an identity may do.

What works on files alone needs nothing of the server, so each command on a home loads that for itself.
"""

from pathlib import Path
from typing import Annotated

import typer

from troth.cli.documents import FileArgument, read_document_text
from troth.cli.output import answer, answer_table
from troth.cli.policy_diff import diff
from troth.cli.policy_explain import explain
from troth.cli.policy_files import lint, simulate, validate
from troth.cli.policy_vectors import vectors
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.errors import Fault, Kind

app = typer.Typer()

NameArgument = Annotated[str, typer.Argument(help="The policy's name.")]
ThingOption = Annotated[str | None, typer.Option("--thing", help="The thing it is about.")]
GroupOption = Annotated[str | None, typer.Option("--group", help="The group whose things it is about.")]
CertOption = Annotated[
    str | None, typer.Option("--cert", help="The certificate it is about: its id, or how it begins.")
]


@app.command()
def create(name: NameArgument, file: FileArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Create a policy from a document. The document is checked first; what is wrong is named with its place."""
    from troth.journal.change import change
    from troth.registry import policies

    text = read_document_text(file)
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        made = policies.create_policy(changing, name, text, here.settings.limits.resolve())
    answer({"name": made.name, "version": made.version}, f"created policy {name}", as_json=as_json)


@app.command()
def update(name: NameArgument, file: FileArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Put a new document into force. It takes effect at once, also on live connections."""
    from troth.journal.change import change
    from troth.registry import policies

    text = read_document_text(file)
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        made = policies.update_policy(changing, name, text, here.settings.limits.resolve())
    answer({"name": name, "version": made.version}, f"policy {name} is at version {made.version}", as_json=as_json)


@app.command()
def delete(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Delete a policy that is attached to nothing."""
    from troth.journal.change import change
    from troth.registry import policies

    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        policies.delete_policy(changing, name)
    answer({"name": name, "deleted": True}, f"deleted policy {name}", as_json=as_json)


@app.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List policies by name."""
    from troth.registry import policies
    from troth.store.read import read

    with opened(home) as here, read(here.db) as connection:
        found = policies.list_policies(connection, after, limit)
    rows = [{"name": each.name, "version": each.version, "created_at": each.created_at} for each in found]
    answer_table(rows, ["name", "version", "created_at"], as_json=as_json, empty="no policies")


@app.command()
def show(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a policy's document and what it is attached to."""
    from troth.registry import policies
    from troth.store.read import read

    with opened(home) as here, read(here.db) as connection:
        policy = policies.get_policy(connection, name)
        targets = policies.list_targets(connection, name)
    value = {
        "name": policy.name,
        "version": policy.version,
        "document": policy.document,
        "targets": [{"kind": target.kind, "target": target.name} for target in targets],
    }
    lines = [policy.document, *(f"attached to {target.kind} {target.name}" for target in targets)]
    answer(value, "\n".join(lines), as_json=as_json)


@app.command()
def attach(
    name: NameArgument,
    thing: ThingOption = None,
    group: GroupOption = None,
    cert: CertOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Attach a policy to a thing, a group or a certificate. It takes effect at once, also on live connections."""
    _attachment(name, thing, group, cert, home, attach=True, as_json=as_json)


@app.command()
def detach(
    name: NameArgument,
    thing: ThingOption = None,
    group: GroupOption = None,
    cert: CertOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Detach a policy from a thing, a group or a certificate. It takes effect at once, also on live connections."""
    _attachment(name, thing, group, cert, home, attach=False, as_json=as_json)


app.command()(validate)
app.command()(lint)
app.command()(explain)
app.command()(simulate)
app.command()(diff)
app.command()(vectors)


def _attachment(
    name: str, thing: str | None, group: str | None, cert: str | None, home: Path, *, attach: bool, as_json: bool
) -> None:
    from troth.journal.change import change
    from troth.registry import certificates, policies

    if sum(each is not None for each in (thing, group, cert)) != 1:
        hint = "give one of --thing T, --group G and --cert ID"
        raise Fault(Kind.MALFORMED, "say what to attach to", hint=hint)
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        found = certificates.get_certificate(changing.connection, cert).certificate_id if cert else None
        work = policies.attach_policy if attach else policies.detach_policy
        work(changing, name, thing=thing, group=group, certificate_id=found)
    target = f"thing {thing}" if thing else f"group {group}" if group else f"certificate {found}"
    text = f"attached {name} to {target}" if attach else f"detached {name} from {target}"
    value = {"policy": name, "thing": thing, "group": group, "certificate_id": found, "attached": attach}
    answer(value, text, as_json=as_json)
