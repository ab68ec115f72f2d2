"""The named points of what must survive a crash at any moment: issuing, revoking, publishing; renewing on a device.

Passing one raises an audit event (`sys.audit`), which nobody hears unless this process was started to be watched:
`troth.testing.crashing` ends a process there and then, to prove that nothing is lost. Pure: no I/O, no state.
"""

import sys
from enum import StrEnum
from typing import Final

EVENT: Final = "troth.point"
"""The audit event; its one argument is the point."""


class Point(StrEnum):
    """Where a process may die. A test fails for one that is never reached, and for a commit without its two."""

    COMMITTING = "store.committing"
    """All statements of a change have run; nothing of it is kept yet."""
    COMMITTED = "store.committed"
    """The change is kept; who made it does not know yet."""
    KEY_KEPT = "hierarchy.key-kept"
    """A new CA's key is in its cabinet, and nothing names it."""
    INTENDED = "issue.intended"
    """Intents stand in a change that is not committed."""
    PROOF_SPENT = "enrollment.proof-spent"
    """So does what the asker has spent on one."""
    FILED = "enrollment.filed"
    """A request is put before a person in a change that is not committed."""
    DECIDED = "enrollment.decided"
    """A person's word on one stands in such a change."""
    MET = "enrollment.met"
    """A device that has connected for the first time, and all that it becomes, stands in such a change."""
    BEGUN = "enrollment.begun"
    """The intent is committed and the authority has not been rung for."""
    READ = "door.read"
    """Committed intents have been read to be signed."""
    DRAFTED = "door.drafted"
    """One of them is derived and linted."""
    SIGNED = "door.signed"
    """The CA's key has made its signature."""
    VERIFIED = "door.verified"
    """The signature is good."""
    CLOSED = "issue.closed"
    """Intents have left their first state in a change that is not committed."""
    REGISTERED = "issue.registered"
    """So have their certificates been added,"""
    ATTACHED = "issue.attached"
    """and attached to their things."""
    CONCLUDED = "enrollment.concluded"
    """The asker's answer is known and not sent."""
    REVOKED = "revoke.revoked"
    """A certificate is revoked in a change that is not committed."""
    CRL_NUMBERED = "crl.numbered"
    """The numbers of CRLs are taken in a change that is not committed."""
    CRL_SIGNED = "crl.signed"
    """The CA's key has signed one."""
    CRL_IN_FORCE = "crl.in-force"
    """They are put in force in a change that is not committed."""


class DevicePoint(StrEnum):
    """Where a device may lose its power. A test fails for one that is never reached."""

    KEY_MADE = "device.key-made"
    """A new key is in the spare slot, and no request for it."""
    REQUESTED = "device.requested"
    """The request is on disk and has not been sent."""
    ANSWERED = "device.answered"
    """Its answer has come and is not on disk."""
    STORED = "device.stored"
    """The new certificate is on disk, and verified."""
    TRIED = "device.tried"
    """The home takes it; the one before is still in use."""
    SWITCHED = "device.switched"
    """The new credential is in use; its request is still there."""
    PROVEN = "device.proven"
    """A connection was made with it; the one before is still there."""
    RETIRED = "device.retired"
    """The one before is gone."""
    QUEUED = "queue.queued"
    """A reading is on disk, and who gave it does not know yet."""
    SENT = "queue.sent"
    """A reading has been sent, and nobody has acknowledged it."""
    ACKNOWLEDGED = "queue.acknowledged"
    """The home has it, and the queue still does."""
    REMOVED = "queue.removed"
    """The queue has it no more."""


def reached(point: Point | DevicePoint) -> None:
    """Say that this process is at `point`."""
    sys.audit(EVENT, point)
