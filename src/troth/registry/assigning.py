"""Make a certificate that came without a thing a thing's own: what was issued for a device nobody knew yet."""

from typing import Final

from sqlalchemy import update

from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry import tables
from troth.registry.certificates import lock_certificate
from troth.registry.profiles import get_profile
from troth.registry.things import get_thing

CERTIFICATE_ASSIGNED: Final = "certificate.assigned"


def assign(change: Change, certificate_id: str, thing: str, profile: str) -> None:
    """Say that a certificate is for `thing`, and renewed under `profile` from now on.

    It then counts among the thing's own: `revoke_thing` revokes it, and renewal goes by the thing's name. Raises
    `Fault`: not found; conflict when it is another thing's.
    """
    row = lock_certificate(change, certificate_id)
    get_thing(change.connection, thing)
    get_profile(change.connection, profile)
    if row.thing not in {None, thing}:
        raise Fault(Kind.CONFLICT, f"certificate {certificate_id[:12]} was issued for thing {row.thing!r}")
    if (row.thing, row.profile) == (thing, profile):
        return
    own = tables.certificates.c.certificate_id == certificate_id
    change.execute(update(tables.certificates).where(own).values(thing=thing, profile=profile))
    said = {"thing": thing, "profile": profile, "issued_under": row.profile}
    change.record(CERTIFICATE_ASSIGNED, certificate_id, certificate_id=certificate_id, **said)
