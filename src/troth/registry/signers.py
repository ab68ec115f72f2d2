"""The certificates whose keys may sign for a thing: those that are attached to it, in force or not."""

from typing import Final

from sqlalchemy import Connection, bindparam, select

from troth.limits import READING_SIGNERS_MAX
from troth.registry import tables
from troth.registry.certificates import CertificateRow, certificate_row, find_certificate

_CERTIFICATES: Final = tables.certificates
_ATTACHED: Final = tables.thing_principals.c
_OF_THING: Final = (
    select(_CERTIFICATES)
    .join(tables.thing_principals, _ATTACHED.certificate_id == _CERTIFICATES.c.certificate_id)
    .where(_ATTACHED.thing == bindparam("thing"))
    .order_by(_CERTIFICATES.c.created_at.desc(), _CERTIFICATES.c.certificate_id)
    .limit(READING_SIGNERS_MAX)
)


def list_signers(connection: Connection, thing: str | None, certificate_id: str) -> list[CertificateRow]:
    """Return the certificates of a thing, the newest `READING_SIGNERS_MAX`, and this one; without a thing, this one.

    `certificate_id` is the one that was shown for the thing.
    """
    found: list[CertificateRow] = []
    if thing is not None:
        found = [certificate_row(row) for row in connection.execute(_OF_THING, {"thing": thing})]
    if all(row.certificate_id != certificate_id for row in found):
        row = find_certificate(connection, certificate_id)
        found += [] if row is None else [row]
    return found
