"""What is done about a thing before its first certificate: made, described, given its policies, bound to its proof.

A proof that is not made for one thing in person, such as a certificate that many devices share, names its thing itself.
The first to enroll a thing so is the only one from then on: the thing is bound to it. RFC 7030 leaves this to us.
"""

from typing import Final

from sqlalchemy import Connection, delete, select

from troth.enrollment import tables
from troth.enrollment.proofs.claim import Newcomer
from troth.errors import Fault, Kind
from troth.journal.change import Change
from troth.registry.policies import attach_policy
from troth.registry.things import create_thing, find_thing, no_thing

THING_BOUND: Final = "thing.bound"
THING_UNBOUND: Final = "thing.unbound"

_COLUMNS: Final = tables.bindings.c


def admit(change: Change, thing: str, newcomer: Newcomer) -> None:
    """Make the thing if there is none, and bind it if it is not bound.

    One that exists keeps its type, attributes and policies. Raises `Fault` (not found) for a thing, a type or a policy
    that does not exist.
    """
    if find_thing(change.connection, thing) is None:
        if not newcomer.creates:
            raise no_thing(thing)
        create_thing(change, thing, newcomer.type, newcomer.attributes)
        for policy in newcomer.policies:
            attach_policy(change, policy, thing=thing)
    if newcomer.bound_to is not None and find_binding(change.connection, thing) is None:
        values = {"thing": thing, "credential": newcomer.bound_to, "bound_at": change.at}
        change.execute(tables.bindings.insert().values(**values))
        change.record(THING_BOUND, thing, thing=thing, credential=newcomer.bound_to)


def find_binding(connection: Connection, thing: str) -> str | None:
    """Return what the thing is bound to, or None."""
    return connection.execute(select(_COLUMNS.credential).where(_COLUMNS.thing == thing)).scalar_one_or_none()


def unbind(change: Change, thing: str) -> str:
    """Let the next who can prove the thing's name be bound to it, and return what was. Raises `Fault` (not found)."""
    credential = find_binding(change.connection, thing)
    if credential is None:
        raise Fault(Kind.NOT_FOUND, f"thing {thing!r} is not bound to anything")
    change.execute(delete(tables.bindings).where(_COLUMNS.thing == thing))
    change.record(THING_UNBOUND, thing, thing=thing, credential=credential)
    return credential
