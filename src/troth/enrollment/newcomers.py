"""What is done about a thing before its first certificate: made, described, given its policies, bound to its proof.

A proof that is not made for one thing in person, such as a certificate that many devices share, names its thing itself.
The first to enroll a thing so is the only one from then on: the thing is bound to it. RFC 7030 leaves this to us.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select, update

from troth.authority.intents import list_prepared
from troth.enrollment import tables
from troth.enrollment.proofs.claim import Newcomer, not_proven
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry.certificates import CertificateState
from troth.registry.inventory import Search, all_certificates, list_certificates
from troth.registry.policies import attach_policy
from troth.registry.things import create_thing, find_thing, get_thing, no_thing
from troth.x509.crl import Reason

THING_BOUND: Final = "thing.bound"
THING_BARRED: Final = "thing.barred"
THING_READMITTED: Final = "thing.readmitted"

_OPEN: Final = "open"
_BARRED: Final = "barred"

_COLUMNS: Final = tables.bindings.c


@dataclass(frozen=True, slots=True)
class Binding:
    """What a thing is bound to."""

    credential: str
    bound_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether an operator has let in whoever comes next."""
        return self.credential == _OPEN

    @property
    def is_barred(self) -> bool:
        """Whether an operator has withdrawn the thing, and let nobody in since."""
        return self.credential == _BARRED


def admit(change: Change, thing: str, newcomer: Newcomer) -> None:
    """Make the thing if there is none, and bind it.

    One that exists keeps its type, attributes and policies. Raises `Fault`: not found for a thing, a type or a policy
    that does not exist; conflict when another was bound to it since the proof was looked at.
    """
    if find_thing(change.connection, thing) is None:
        if not newcomer.creates:
            raise no_thing(thing)
        create_thing(change, thing, newcomer.type, newcomer.attributes)
        for policy in newcomer.policies:
            attach_policy(change, policy, thing=thing)
    if newcomer.bound_to is None:
        return
    bound = find_binding(change.connection, thing, lock=True)
    if bound is not None and not bound.is_open:
        # On PostgreSQL changes run side by side: another has come since the proof was looked at.
        raise Fault(Kind.CONFLICT, "the thing has been bound meanwhile", detail=f"thing {thing!r}, {bound.credential}")
    _bind(change, thing, newcomer.bound_to, is_new=bound is None)
    change.record(THING_BOUND, thing, thing=thing, credential=newcomer.bound_to)


def find_binding(connection: Connection, thing: str, *, lock: bool = False) -> Binding | None:
    """Return what the thing is bound to, or None; with `lock` (in a change) nobody else changes that meanwhile."""
    statement = select(_COLUMNS.credential, _COLUMNS.bound_at).where(_COLUMNS.thing == thing)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else Binding(*row)


def require_own(connection: Connection, thing: str, bound: Binding | None, credential: str | None) -> None:
    """Refuse who takes a thing that is bound to somebody else, was enrolled in another way, or has been withdrawn.

    What an operator has taken from a thing, nobody gets back by a proof that was not made for it in person.
    """
    if credential is None:
        return
    if bound is not None and not bound.is_open and bound.credential != credential:
        raise not_proven(f"thing {thing!r} is bound to {bound.credential}, not to {credential}")
    if bound is None and find_thing(connection, thing) is None:
        return
    if bound is None and _has_come_otherwise(connection, thing):
        raise not_proven(f"thing {thing!r} has been enrolled in another way")
    for row in all_certificates(connection, Search(thing=thing, state=CertificateState.REVOKED)):
        if bound is not None and row.changed_at > bound.bound_at and row.reason != Reason.SUPERSEDED:
            raise not_proven(f"thing {thing!r} has been withdrawn: certificate {row.certificate_id} is revoked")


def _has_come_otherwise(connection: Connection, thing: str) -> bool:
    held = list_certificates(connection, Search(thing=thing), limit=1)
    return bool(held or list_prepared(connection, thing=thing))


def readmit(change: Change, thing: str) -> None:
    """Let the next who can prove the thing's name be bound to it, also one that was withdrawn or enrolled otherwise.

    Raises `Fault` (not found).
    """
    get_thing(change.connection, thing)
    bound = find_binding(change.connection, thing)
    _bind(change, thing, _OPEN, is_new=bound is None)
    change.record(THING_READMITTED, thing, thing=thing, before=bound.credential if bound else None)


def bar(change: Change, thing: str) -> None:
    """Let nobody be bound to a thing until `readmit`; who is enrolling it just now is waited for."""
    bound = find_binding(change.connection, thing, lock=True)
    if bound is None or not bound.is_barred:
        _bind(change, thing, _BARRED, is_new=bound is None)
        change.record(THING_BARRED, thing, thing=thing, before=bound.credential if bound else None)


def bind(change: Change, thing: str, credential: str) -> None:
    """Bind a thing to a credential, whatever it was bound to; the caller has seen that this may be."""
    bound = find_binding(change.connection, thing, lock=True)
    if bound is not None and bound.credential == credential:
        return
    _bind(change, thing, credential, is_new=bound is None)
    change.record(THING_BOUND, thing, thing=thing, credential=credential)


def _bind(change: Change, thing: str, credential: str, *, is_new: bool) -> None:
    values = {"credential": credential, "bound_at": change.at}
    if is_new:
        change.execute(tables.bindings.insert().values(thing=thing, **values))
    else:
        change.execute(update(tables.bindings).where(_COLUMNS.thing == thing).values(**values))
