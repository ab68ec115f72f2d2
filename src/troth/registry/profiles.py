"""Certificate profiles as they are in force here: TOML texts, which `troth.x509.profiles` reads."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.names import parse_policy_name
from troth.registry import tables
from troth.registry.paging import PAGE_ROWS, page_rows
from troth.store.query import Query
from troth.x509.profile_text import parse_profile

PROFILE_APPLIED: Final = "profile.applied"
PROFILE_DELETED: Final = "profile.deleted"

_COLUMNS: Final = tables.profiles.c


@dataclass(frozen=True, slots=True)
class ProfileText:
    """A profile's text, and which one it is."""

    name: str
    document: str
    """TOML."""
    version: int
    """Grows by one with every change of the text."""
    updated_at: datetime


def apply_profile(change: Change, document: str) -> ProfileText:
    """Put the profile that the TOML text describes, under the name in it, into force; the same text changes nothing.

    Raises `Fault` (malformed, too large) for a text that is no profile.
    """
    name = parse_policy_name(parse_profile(document).name)
    existing = find_profile(change.connection, name)
    if existing is not None and existing.document == document:
        return existing
    version = 1 if existing is None else existing.version + 1
    if existing is None:
        change.execute(
            tables.profiles.insert().values(name=name, document=document, version=version, updated_at=change.at)
        )
    else:
        change.execute(
            update(tables.profiles)
            .where(_COLUMNS.name == name, _COLUMNS.version == existing.version)
            .values(document=document, version=version, updated_at=change.at)
        )
    before = None if existing is None else existing.document
    change.record(PROFILE_APPLIED, name, profile=name, version=version, before=before, document=document)
    return ProfileText(name, document, version, change.at)


def find_profile(connection: Connection, name: str) -> ProfileText | None:
    """Return the profile's text, or None."""
    row = _BY_NAME.one_or_none(connection, {"name": name})
    return None if row is None else _profile(row)


def get_profile(connection: Connection, name: str) -> ProfileText:
    """Return the profile's text. Raises `Fault` (not found)."""
    found = find_profile(connection, name)
    if found is None:
        hint = "troth profile list shows those there are"
        raise Fault(Kind.NOT_FOUND, f"there is no certificate profile {name!r}", hint=hint)
    return found


def list_profiles(connection: Connection, after: str | None = None, limit: int = PAGE_ROWS) -> list[ProfileText]:
    """Return the profiles after `after` in the order of their names, at most `limit`."""
    statement = select(tables.profiles).order_by(_COLUMNS.name).limit(page_rows(limit))
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    return [_profile(row) for row in connection.execute(statement)]


def delete_profile(change: Change, name: str, built_in: Collection[str]) -> None:
    """Take a profile out of force. `built_in` are the names of those that Troth's own commands stand on.

    Looks through the certificates for one that is still to be renewed under it: seconds with ten million of them.
    Raises `Fault`: not found; conflict for a built-in profile, or while a certificate of it has not ended.
    """
    found = get_profile(change.connection, name)
    if name in built_in:
        hint = "apply another text under its name instead: troth profile show NAME --toml"
        raise Fault(Kind.CONFLICT, f"profile {name!r} is built in and in use by troth itself", hint=hint)
    certificates = tables.certificates.c
    own = (certificates.profile == name, certificates.not_after > change.at, certificates.revoked_at.is_(None))
    user = change.execute(select(certificates.certificate_id).where(*own).limit(1)).scalar_one_or_none()
    if user is not None:
        message = f"profile {name!r} is in use: certificate {user[:16]} is to be renewed under it"
        raise Fault(Kind.CONFLICT, message, hint="revoke what has it, or wait for its end; troth cert list shows it")
    change.execute(delete(tables.profiles).where(_COLUMNS.name == name))
    change.record(PROFILE_DELETED, name, profile=name, version=found.version, document=found.document)


# Made once: SQLAlchemy takes longer to build a statement than SQLite to run it.
_BY_NAME: Final = Query(select(tables.profiles).where(_COLUMNS.name == bindparam("name")))


def _profile(row: Row[Any]) -> ProfileText:
    return ProfileText(row.name, row.document, row.version, row.updated_at)
