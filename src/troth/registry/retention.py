"""What is over for long is let go, so that the database does not grow for ever: certificates long after their expiry.

The journal keeps what it has said of them, and names each one that goes. By then no CRL lists them any more, and no
proof needs the row: who holds the certificate finds its id, the hash of its bytes, in the journal.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, tuple_

from troth.journal.change import Change
from troth.limits import PRUNED_ROWS_PER_CHANGE_MAX
from troth.policy.attachment import TargetKind
from troth.registry import tables
from troth.x509.serials import shard_of

CERTIFICATES_PRUNED: Final = "certificates.pruned"

_COLUMNS: Final = tables.certificates.c


def prune_certificates(
    change: Change, expired_before: datetime, limit: int = PRUNED_ROWS_PER_CHANGE_MAX
) -> list[tuple[str, str]]:
    """Delete certificates that expired before the time given, with what is attached to them.

    At most `limit`, those first that expired first. Returns (issuer id, serial number in hex) of each.
    """
    old = select(_COLUMNS.certificate_id, _COLUMNS.issuer_id, _COLUMNS.serial).where(
        _COLUMNS.not_after < expired_before
    )
    rows = change.execute(old.order_by(_COLUMNS.not_after).limit(limit)).all()
    if not rows:
        return []
    identities = [row.certificate_id for row in rows]
    attached, policies, revoked = tables.thing_principals, tables.policy_attachments, tables.revocations
    change.execute(delete(attached).where(attached.c.certificate_id.in_(identities)))
    own = policies.c.target_kind == TargetKind.CERTIFICATE, policies.c.target.in_(identities)
    change.execute(delete(policies).where(*own))
    places = [(row.issuer_id, shard_of(int(row.serial, 16)), row.serial) for row in rows]
    key = tuple_(revoked.c.issuer_id, revoked.c.shard, revoked.c.serial)
    change.execute(delete(revoked).where(key.in_(places)))
    windows = tables.reading_windows
    change.execute(delete(windows).where(windows.c.certificate_id.in_(identities)))
    change.execute(delete(tables.certificates).where(_COLUMNS.certificate_id.in_(identities)))
    change.record(CERTIFICATES_PRUNED, identities[0], certificate_ids=identities)
    return [(row.issuer_id, row.serial) for row in rows]
