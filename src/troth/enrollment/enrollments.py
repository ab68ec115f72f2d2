"""Enrollments as they are in force: TOML texts, journaled rows. `troth.enrollment.definitions` reads them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from troth.authority.derive import read_profile
from troth.enrollment import tables
from troth.enrollment.definitions import BUILT_IN, FOREIGN, Definition, Way, parse_definition
from troth.enrollment.presented import DEFAULT_LABEL
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.limits import LIST_ROWS_MAX
from troth.registry.foreign_issuers import get_foreign_issuer
from troth.registry.policies import get_policy
from troth.registry.profiles import get_profile
from troth.registry.types import get_type
from troth.store.query import Query
from troth.x509.profiles import SubjectRule

ENROLLMENT_CREATED: Final = "enrollment.created"
ENROLLMENT_UPDATED: Final = "enrollment.updated"
ENROLLMENT_DELETED: Final = "enrollment.deleted"

_COLUMNS: Final = tables.enrollments.c


@dataclass(frozen=True, slots=True)
class EnrollmentText:
    """An enrollment's text, and which one it is."""

    name: str
    document: str
    """TOML."""
    version: int
    """Grows by one with every change of the text; 0 is the built-in one."""
    updated_at: datetime | None
    """None for the built-in one."""

    @property
    def definition(self) -> Definition:
        """What it says."""
        return parse_definition(self.document)


_BY_NAME: Final = Query(select(tables.enrollments).where(_COLUMNS.name == bindparam("name")))
_DEFAULT: Final = EnrollmentText(DEFAULT_LABEL, BUILT_IN, 0, None)


def create_enrollment(change: Change, document: str) -> EnrollmentText:
    """Put a new enrollment into force, under the name in it.

    Raises `Fault`: malformed, too large; not found for what it refers to; conflict where there is one of that name.
    """
    definition = _checked(change, document)
    if find_enrollment(change.connection, definition.name) is not None:
        message = f"there is an enrollment {definition.name!r}"
        raise Fault(Kind.CONFLICT, message, hint="put another text in its place: troth enrollment update FILE")
    return _put(change, definition.name, document, None)


def update_enrollment(change: Change, document: str) -> EnrollmentText:
    """Put another text in the place of the enrollment's of that name; the same text changes nothing.

    What was proven under the old text and has led to nothing must be proven again. Raises `Fault` as
    `create_enrollment` does, but not found where there is none of that name.
    """
    definition = _checked(change, document)
    existing = get_enrollment(change.connection, definition.name)
    return existing if existing.document == document else _put(change, definition.name, document, existing)


def delete_enrollment(change: Change, name: str) -> EnrollmentText:
    """Take an enrollment out of force. Raises `Fault`: not found; conflict for one that is built in as it is."""
    found = get_enrollment(change.connection, name)
    if found.version == 0:
        hint = "to close it, put a text with enabled = false in its place: troth enrollment update FILE"
        raise Fault(Kind.CONFLICT, f"enrollment {name!r} is built in", hint=hint)
    change.execute(delete(tables.enrollments).where(_COLUMNS.name == name))
    change.record(ENROLLMENT_DELETED, name, enrollment=name, version=found.version, document=found.document)
    return found


def find_enrollment(connection: Connection, name: str) -> EnrollmentText | None:
    """Return the enrollment's text, or None. The default one is always there."""
    row = _BY_NAME.one_or_none(connection, {"name": name})
    if row is None:
        return _DEFAULT if name == DEFAULT_LABEL else None
    return _text(row)


def get_enrollment(connection: Connection, name: str) -> EnrollmentText:
    """Return the enrollment's text. Raises `Fault` (not found)."""
    found = find_enrollment(connection, name)
    if found is None:
        hint = "troth enrollment list shows those there are"
        raise Fault(Kind.NOT_FOUND, f"there is no enrollment {name[:64]!r}", hint=hint)
    return found


def list_enrollments(connection: Connection, after: str | None = None, limit: int = 100) -> list[EnrollmentText]:
    """Return enrollments after `after` in the order of their names, at most `limit`."""
    statement = select(tables.enrollments).order_by(_COLUMNS.name).limit(max(1, min(limit, LIST_ROWS_MAX)))
    if after is not None:
        statement = statement.where(_COLUMNS.name > after)
    found = [_text(row) for row in connection.execute(statement)]
    if (after is None or after < DEFAULT_LABEL) and find_enrollment(connection, DEFAULT_LABEL) is _DEFAULT:
        found = sorted([*found, _DEFAULT], key=lambda each: each.name)[:limit]
    return found


def _checked(change: Change, document: str) -> Definition:
    definition, connection = parse_definition(document), change.connection
    if read_profile(get_profile(connection, definition.profile).document).subject is not SubjectRule.THING:
        raise Fault(Kind.REJECTED, f"profile {definition.profile!r} is not for things")
    if definition.thing.type is not None:
        get_type(connection, definition.thing.type)
    for policy in definition.thing.policies:
        get_policy(connection, policy)
    for way in FOREIGN:
        rule = definition.foreign.get(way)
        for name in rule.issuers if rule else ():
            get_foreign_issuer(connection, name)
    if Way.CLAIM in definition.proofs:
        get_profile(connection, definition.claim.profile)
    return definition


def _put(change: Change, name: str, document: str, before: EnrollmentText | None) -> EnrollmentText:
    version = (before.version if before else 0) + 1
    values = {"document": document, "version": version, "updated_at": change.at}
    if before is None or before.version == 0:
        change.execute(tables.enrollments.insert().values(name=name, **values))
    else:
        change.execute(update(tables.enrollments).where(_COLUMNS.name == name).values(**values))
    kind = ENROLLMENT_CREATED if before is None else ENROLLMENT_UPDATED
    said = before.document if before else None
    change.record(kind, name, enrollment=name, version=version, before=said, document=document)
    return EnrollmentText(name, document, version, change.at)


def _text(row: Row[Any]) -> EnrollmentText:
    return EnrollmentText(row.name, row.document, row.version, row.updated_at)
