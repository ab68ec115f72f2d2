"""``troth policy``: what an identity may do."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, opened
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import DEFAULT, POLICY_DOCUMENT_CHARS_MAX
from troth.policy.document import parse_document
from troth.registry import certificates, policies
from troth.store.read import read

app = typer.Typer()

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The policy document in JSON; - is stdin.")]
NameArgument = Annotated[str, typer.Argument(help="The policy's name.")]
ThingOption = Annotated[str | None, typer.Option("--thing", help="The thing it is about.")]
CertOption = Annotated[
    str | None, typer.Option("--cert", help="The certificate it is about: its id, or how it begins.")
]


@app.command()
def create(name: NameArgument, file: FileArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Create a policy from a document. The document is checked first; what is wrong is named with its place."""
    text = _text(file)
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        made = policies.create_policy(changing, name, text, here.settings.limits.resolve())
    answer({"name": made.name, "version": made.version}, f"created policy {name}", as_json=as_json)


@app.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List policies by name."""
    with opened(home) as here, read(here.db) as connection:
        found = policies.list_policies(connection, after, limit)
    rows = [{"name": each.name, "version": each.version, "created_at": each.created_at} for each in found]
    answer_table(rows, ["name", "version", "created_at"], as_json=as_json, empty="no policies")


@app.command()
def show(name: NameArgument, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Show a policy's document and what it is attached to."""
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
    cert: CertOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Attach a policy to a thing or a certificate. It takes effect at once, also on live connections."""
    _attachment(name, thing, cert, home, attach=True, as_json=as_json)


@app.command()
def detach(
    name: NameArgument,
    thing: ThingOption = None,
    cert: CertOption = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Detach a policy from a thing or a certificate. It takes effect at once, also on live connections."""
    _attachment(name, thing, cert, home, attach=False, as_json=as_json)


@app.command()
def validate(file: FileArgument, as_json: JsonOption = False) -> None:
    """Check a policy document without a home."""
    document = parse_document(_text(file), DEFAULT)
    count = len(document.statements)
    answer({"valid": True, "statements": count}, f"valid: {count} statements", as_json=as_json)


def _attachment(name: str, thing: str | None, cert: str | None, home: Path, *, attach: bool, as_json: bool) -> None:
    if (thing is None) == (cert is None):
        raise Fault(Kind.MALFORMED, "say what to attach to", hint="give one of --thing T and --cert ID")
    with opened(home) as here, change(here.db, here.clock, here.actor) as changing:
        found = certificates.get_certificate(changing.connection, cert).certificate_id if cert else None
        work = policies.attach_policy if attach else policies.detach_policy
        work(changing, name, thing=thing, certificate_id=found)
    target = f"thing {thing}" if thing else f"certificate {found}"
    text = f"attached {name} to {target}" if attach else f"detached {name} from {target}"
    answer({"policy": name, "thing": thing, "certificate_id": found, "attached": attach}, text, as_json=as_json)


def _text(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read(POLICY_DOCUMENT_CHARS_MAX * 4 + 1) if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise Fault(Kind.MISCONFIGURED, f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Fault(Kind.MALFORMED, f"{file} is not UTF-8 text") from error
