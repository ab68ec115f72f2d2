"""Certificate profiles as they are in force here: TOML texts, which `troth.x509.profiles` reads."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.names import parse_policy_name
from troth.registry import tables
from troth.x509.profile_text import parse_profile

PROFILE_APPLIED: Final = "profile.applied"

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
    change.record(PROFILE_APPLIED, name, profile=name, version=version, document=document)
    return ProfileText(name, document, version, change.at)


def find_profile(connection: Connection, name: str) -> ProfileText | None:
    """Return the profile's text, or None."""
    row = connection.execute(select(tables.profiles).where(_COLUMNS.name == name)).one_or_none()
    return None if row is None else ProfileText(row.name, row.document, row.version, row.updated_at)


def get_profile(connection: Connection, name: str) -> ProfileText:
    """Return the profile's text. Raises `Fault` (not found)."""
    found = find_profile(connection, name)
    if found is None:
        hint = "troth profile list shows those there are"
        raise Fault(Kind.NOT_FOUND, f"there is no certificate profile {name!r}", hint=hint)
    return found
