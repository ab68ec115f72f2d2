"""Provisioning templates as they are in force here: texts with their options, journaled rows.

`troth.enrollment.template_text` reads the texts. AWS IoT developer guide, "Device provisioning".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, delete, select, update

from troth.authority.derive import read_profile
from troth.enrollment import tables
from troth.enrollment.template_resources import TemplateType
from troth.enrollment.template_text import Template, parse_template
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import LIST_ROWS_MAX
from troth.protocols.provisioning import TEMPLATE_NAME
from troth.registry.profiles import get_profile
from troth.x509.certificates import parse_chain
from troth.x509.profiles import SubjectRule

TEMPLATE_CREATED: Final = "template.created"
TEMPLATE_UPDATED: Final = "template.updated"
TEMPLATE_DELETED: Final = "template.deleted"

_COLUMNS: Final = tables.templates.c


@dataclass(frozen=True, slots=True)
class HookOptions:
    """Who is asked before a thing is made: an HTTPS server, or an entry point of an installed package."""

    url: str | None = None
    ca_pem: str = field(default="", repr=False)
    """The CAs that may vouch for the server; nobody else may."""
    entry_point: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What stands beside a template's text."""

    profile: str = "device"
    """What the certificates of its things are renewed under."""
    enabled: bool = True
    server_keys: bool = False
    """It takes certificates whose keys the server has made, and so allows that keys are made."""
    again: bool = False
    """A thing that has had a certificate may be given another; its name alone is no proof of who asks."""
    hook: HookOptions | None = None


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template, and which one it is."""

    name: str
    type: TemplateType
    document: str
    options: TemplateOptions
    version: int
    """Grows by one with every change."""
    updated_at: datetime

    @property
    def template(self) -> Template:
        """What its text says."""
        return parse_template(self.document, self.type)


def create_template(
    change: Change, name: str, type: TemplateType, document: str, options: TemplateOptions
) -> TemplateRow:
    """Put a new template into force.

    Raises `Fault`: malformed, too large, unsupported for what cannot be one, saying where; not found for its profile;
    conflict where there is one of that name.
    """
    if not TEMPLATE_NAME.fullmatch(name):
        hint = "use 1 to 36 letters, digits, '_' and '-'"
        raise Fault(Kind.MALFORMED, f"{name[:40]!r} cannot name a template", hint=hint)
    _check(change.connection, type, document, options)
    if find_template(change.connection, name) is not None:
        message = f"there is a template {name!r}"
        raise Fault(Kind.CONFLICT, message, hint="put another text in its place: troth template update NAME")
    row = TemplateRow(name, type, document, options, 1, change.at)
    change.execute(tables.templates.insert().values(**_values(row)))
    change.record(TEMPLATE_CREATED, name, template=name, type=type.value, version=1, **_said(row))
    return row


def update_template(
    change: Change, name: str, *, document: str | None = None, options: TemplateOptions | None = None
) -> TemplateRow:
    """Put another text, or other options, in the place of those there are; the same ones change nothing.

    The type stays. Raises `Fault` as `create_template` does, and not found.
    """
    before = get_template(change.connection, name)
    document, options = document or before.document, options or before.options
    if (document, options) == (before.document, before.options):
        return before
    _check(change.connection, before.type, document, options)
    row = TemplateRow(name, before.type, document, options, before.version + 1, change.at)
    change.execute(update(tables.templates).where(_COLUMNS.name == name).values(**_values(row)))
    change.record(TEMPLATE_UPDATED, name, template=name, version=row.version, before=_said(before), **_said(row))
    return row


def delete_template(change: Change, name: str) -> None:
    """Take a template out of force; things made by it stay. Raises `Fault` (not found)."""
    before = get_template(change.connection, name)
    change.execute(delete(tables.templates).where(_COLUMNS.name == name))
    change.record(TEMPLATE_DELETED, name, template=name, version=before.version, **_said(before))


def find_template(connection: Connection, name: str) -> TemplateRow | None:
    """Return the template, or None."""
    row = connection.execute(select(tables.templates).where(_COLUMNS.name == name)).one_or_none()
    return None if row is None else _row(row)


def get_template(connection: Connection, name: str) -> TemplateRow:
    """Return the template. Raises `Fault` (not found)."""
    found = find_template(connection, name)
    if found is None:
        hint = "troth template list shows those there are"
        raise Fault(Kind.NOT_FOUND, f"there is no template {name[:40]!r}", hint=hint)
    return found


def list_templates(connection: Connection, after: str | None = None, limit: int = LIST_ROWS_MAX) -> list[TemplateRow]:
    """Return the templates after `after` in the order of their names, at most `limit`."""
    statement = select(tables.templates).order_by(_COLUMNS.name).limit(min(limit, LIST_ROWS_MAX))
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    return [_row(row) for row in connection.execute(statement)]


def allows_server_keys(connection: Connection) -> bool:
    """Say whether a template in force takes certificates whose keys the server has made."""
    fleets = (each for each in list_templates(connection) if each.type is TemplateType.FLEET_PROVISIONING)
    return any(each.options.enabled and each.options.server_keys for each in fleets)


def _check(connection: Connection, type: TemplateType, document: str, options: TemplateOptions) -> None:
    parse_template(document, type)
    profile = read_profile(get_profile(connection, options.profile).document)
    if profile.subject is not SubjectRule.THING:
        hint = "name one whose subject is the thing, such as device"
        raise Fault(Kind.REJECTED, f"profile {options.profile!r} is not for things", hint=hint)
    hook = options.hook
    if type is TemplateType.JITP and (hook is not None or options.server_keys):
        hint = "leave both out: such a device comes with a key of its own, and nobody is asked"
        raise Fault(
            Kind.UNSUPPORTED, "a template for first connections has no hook, and takes no server keys", hint=hint
        )
    if hook is None:
        return
    if (hook.url is None) == (hook.entry_point is None):
        raise Fault(Kind.MALFORMED, "a hook is a URL or an entry point", hint="give one of the two")
    if hook.url is not None:
        if not _is_https(hook.url):
            raise Fault(Kind.MALFORMED, "the hook's URL is not https://HOST", hint="what it decides must not be forged")
        parse_chain(hook.ca_pem.encode())


def _is_https(url: str) -> bool:
    try:
        where = urlsplit(url)
        # To ask for a port that cannot be is a ValueError.
        return where.scheme == "https" and bool(where.hostname) and where.port != 0
    except ValueError:
        return False


def _said(row: TemplateRow) -> dict[str, object]:
    return {"document": row.document, "options": asdict(row.options)}


def _values(row: TemplateRow) -> dict[str, object]:
    return {
        "name": row.name,
        "type": row.type.value,
        "document": row.document,
        "options": asdict(row.options),
        "version": row.version,
        "updated_at": row.updated_at,
    }


def _row(row: Row[Any]) -> TemplateRow:
    options: Mapping[str, Any] = row.options
    hook = None if options["hook"] is None else HookOptions(**options["hook"])
    kept = TemplateOptions(**{**options, "hook": hook})
    return TemplateRow(row.name, TemplateType(row.type), row.document, kept, row.version, row.updated_at)
