"""``troth template``: what is made of a device that asks with a claim certificate, or of a line of a list."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from troth.cli.documents import read_bounded_text
from troth.cli.output import answer, answer_table
from troth.cli.server import HOME, HomeOption, JsonOption, LimitOption, WhyOption, opened
from troth.enrollment.template_resources import TemplateType
from troth.enrollment.templates import (
    HookOptions,
    TemplateOptions,
    TemplateRow,
    create_template,
    delete_template,
    get_template,
    list_templates,
    update_template,
)
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.files import read_bounded
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX
from troth.store.read import read

app = typer.Typer()

_CA_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX
_LISTED: Final = ["name", "type", "enabled", "profile", "version", "updated_at"]


class Type(StrEnum):
    """The types by the words that an operator writes."""

    FLEET = "fleet"
    JITP = "jitp"
    BULK = "bulk"


_TYPES: Final = {
    Type.FLEET: TemplateType.FLEET_PROVISIONING,
    Type.JITP: TemplateType.JITP,
    Type.BULK: TemplateType.BULK,
}

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The template's name.")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="What its certificates are renewed under.")]
EnabledOption = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it may be used.")]
ServerKeysOption = Annotated[
    bool | None, typer.Option("--server-keys/--no-server-keys", help="Whether the server may make devices' keys.")
]
AgainOption = Annotated[
    bool | None,
    typer.Option("--again/--no-again", help="Whether a thing that has had a certificate may be given another."),
]
HookURLOption = Annotated[str | None, typer.Option("--hook-url", metavar="URL", help="Ask this server first: https.")]
HookCAOption = Annotated[Path | None, typer.Option("--hook-ca", metavar="FILE", help="The CAs that vouch for it, PEM.")]
HookOption = Annotated[
    str | None, typer.Option("--hook", metavar="ENTRY", help="Ask this entry point of an installed package first.")
]


@app.command()
def create(
    name: NameArgument,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The template in JSON; - is stdin.")],
    type: Annotated[
        Type, typer.Option("--type", help="For devices that ask over MQTT, that first connect, or for lists.")
    ] = Type.FLEET,
    profile: ProfileOption = None,
    enabled: EnabledOption = None,
    server_keys: ServerKeysOption = None,
    again: AgainOption = None,
    hook_url: HookURLOption = None,
    hook_ca: HookCAOption = None,
    hook: HookOption = None,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put a new template into force. By default a device makes its own key, and a thing is provisioned once."""
    document = read_bounded_text(file)
    options = _changed(TemplateOptions(), profile, enabled, server_keys, again)
    options = replace(options, hook=_hook(hook_url, hook_ca, hook))
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        made = create_template(changing, name, _TYPES[type], document, options)
    answer(_row(made), f"created template {name}", as_json=as_json)


@app.command("list")
def list_(
    after: Annotated[str | None, typer.Option("--after", help="Go on after this name.")] = None,
    limit: LimitOption = 100,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """List templates by name."""
    with opened(home) as here, read(here.db) as connection:
        found = list_templates(connection, after, limit)
    answer_table([_row(each) for each in found], _LISTED, as_json=as_json, empty="no templates")


@app.command()
def show(
    name: NameArgument,
    document: Annotated[bool, typer.Option("--document", help="Only its text, to edit and put in its place.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a template with its options."""
    with opened(home) as here, read(here.db) as connection:
        found = get_template(connection, name)
    row = _row(found)
    lines = [f"{key.replace('_', ' '):<13}{_shown(value)}" for key, value in row.items() if key != "updated_at"]
    lines += ["", found.document.strip()]
    answer(
        {**row, "document": found.document},
        found.document.strip() if document else "\n".join(lines),
        as_json=as_json,
    )


@app.command()
def update(
    name: NameArgument,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="The new text in JSON; - is stdin.")] = None,
    profile: ProfileOption = None,
    enabled: EnabledOption = None,
    server_keys: ServerKeysOption = None,
    again: AgainOption = None,
    hook_url: HookURLOption = None,
    hook_ca: HookCAOption = None,
    hook: HookOption = None,
    no_hook: Annotated[bool, typer.Option("--no-hook", help="Ask nobody any more.")] = False,
    why: WhyOption = "",
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Put another text in a template's place, or change its options; what is not named stays."""
    document = read_bounded_text(file) if file is not None else None
    given = _hook(hook_url, hook_ca, hook)
    if given is not None and no_hook:
        raise Fault(Kind.MALFORMED, "a hook is named, and none is wanted", hint="leave out --no-hook")
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        before = get_template(changing.connection, name)
        options = _changed(before.options, profile, enabled, server_keys, again)
        if given is not None or no_hook:
            options = replace(options, hook=given)
        made = update_template(changing, name, document=document, options=options)
    changed = made.version != before.version
    done = f"updated template {name}, version {made.version}" if changed else f"template {name} is so"
    answer({**_row(made), "changed": changed}, done, as_json=as_json)


@app.command()
def delete(name: NameArgument, why: WhyOption = "", home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Take a template out of force. Things that were made by it stay."""
    with opened(home) as here, change(here.db, here.clock, here.actor, why) as changing:
        delete_template(changing, name)
    answer({"name": name, "deleted": True}, f"deleted template {name}", as_json=as_json)


def _changed(
    options: TemplateOptions,
    profile: str | None,
    enabled: bool | None,
    server_keys: bool | None,
    again: bool | None,
) -> TemplateOptions:
    return replace(
        options,
        profile=options.profile if profile is None else profile,
        enabled=options.enabled if enabled is None else enabled,
        server_keys=options.server_keys if server_keys is None else server_keys,
        again=options.again if again is None else again,
    )


def _hook(url: str | None, ca: Path | None, entry_point: str | None) -> HookOptions | None:
    if url is None and entry_point is None:
        if ca is not None:
            raise Fault(Kind.MALFORMED, "--hook-ca goes with --hook-url", hint="name the server too")
        return None
    if url is not None and ca is None:
        hint = "give the CAs that vouch for the server: --hook-ca FILE"
        raise Fault(Kind.MALFORMED, "nobody would vouch for the hook's server", hint=hint)
    pem = read_bounded(ca, _CA_BYTES_MAX).decode("ascii", "replace") if ca is not None else ""
    return HookOptions(url, pem, entry_point)


def _row(found: TemplateRow) -> dict[str, object]:
    options = found.options
    hook = options.hook
    return {
        "name": found.name,
        "type": found.type,
        "enabled": options.enabled,
        "profile": options.profile,
        "server_keys": options.server_keys,
        "again": options.again,
        "hook": None if hook is None else hook.url or hook.entry_point,
        "version": found.version,
        "updated_at": found.updated_at,
    }


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
