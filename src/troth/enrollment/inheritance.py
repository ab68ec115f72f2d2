"""What a renewed certificate takes over from the one before: the policies that were attached to that very certificate.

Those of the thing reach it anyway. Done before the answer is given, so that the device never comes with less than it
had; done again, it changes nothing.
"""

from troth.clock import Clock
from troth.journal.change import change
from troth.policy.attachment import TargetKind
from troth.registry.policies import Target, attach_policy, list_attached
from troth.store.connect import Database
from troth.store.read import read


def inherit(db: Database, clock: Clock, before: str, after: str) -> None:
    """Attach to the certificate `after` what `before` has. Blocks. Raises `Fault` as `attach_policy` does."""
    with read(db) as connection:
        missing = set(list_attached(connection, Target(TargetKind.CERTIFICATE, before)))
        missing -= set(list_attached(connection, Target(TargetKind.CERTIFICATE, after)))
    if not missing:
        return
    with change(db, clock, "system:enrollment", why=f"renewal of certificate {before}") as changing:
        for policy in sorted(missing):
            attach_policy(changing, policy, certificate_id=after)
