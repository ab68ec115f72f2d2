"""From one generation of an issuer to the next, and the end of the one before.

A new root and the one before it certify each other, so that who trusts either can follow chains under both (RFC 4210,
4.4). The new generation signs at once; what the old one has signed stays good until it is retired, which is refused
while anybody would be lost. Each step stands by itself: a rollover that was cut off is finished by calling again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from troth.authority.ceremony import Ceremony, opened_key
from troth.authority.generation import Generation, parse_line
from troth.authority.graces import counted_from
from troth.authority.hierarchy import FOR_THINGS
from troth.errors import Fault, Kind
from troth.journal.change import Change, change
from troth.limits import EST_CERTIFICATES_MAX
from troth.registry.cross_certificates import CrossCertificate
from troth.registry.issuer_requests import list_issuer_requests
from troth.registry.issuers import (
    Issuer,
    IssuerState,
    get_issuer_named,
    list_issuers,
    set_issuer_state,
)
from troth.registry.trust import is_root, trust_bundle
from troth.registry.uptake import UptakeState, count_dependents, count_uptake
from troth.store.read import read
from troth.x509.profiles import Purpose

ROOTS_IN_FORCE_MAX: Final = 2
"""So that one cross certificate leads from any root to any other."""


@dataclass(frozen=True, slots=True)
class Rollover:
    """What a rollover has made."""

    old: Issuer
    new: Issuer
    crosses: tuple[CrossCertificate, ...]
    """For a root: new with old, old with new."""


def create_issuer(
    ceremony: Ceremony, *, site: str, purpose: Purpose, line: str | None, names: Sequence[str], key: str | None = None
) -> Issuer:
    """Make a further issuing CA for `purpose`, the first of the line `line`, which profiles name as `issuer_name`.

    One that was cut off is finished. Raises `Fault`: malformed (the name), conflict (the line exists), and what
    `Ceremony.bring` raises.
    """
    called = parse_line(line, purpose)
    if purpose is Purpose.ROOT:
        hint = "roll the root over: troth ca rollover root"
        raise Fault(Kind.CONFLICT, "a site has one line of roots", hint=hint)
    generation = Generation(site, purpose, 1, tuple(names), called, key)
    with read(ceremony.db) as connection:
        if any(issuer.line == generation.line for issuer in list_issuers(connection)):
            raise Fault(
                Kind.CONFLICT,
                f"there is a CA {generation.line} already",
                hint=f"for its next generation: troth ca rollover {generation.line}",
            )
        root = in_force(connection, Purpose.ROOT.value)
        bundle = trust_bundle(connection)
        # Two roots and their crosses may join them, and each CA for things has two generations for a while.
        if purpose in FOR_THINGS and 2 * len(bundle.devices + bundle.peers) > EST_CERTIFICATES_MAX - 6:
            raise Fault(Kind.TOO_LARGE, f"devices can be told of {EST_CERTIFICATES_MAX} certificates, not more")
    return ceremony.bring(generation, root)


def roll_over(ceremony: Ceremony, *, site: str, line: str, names: Sequence[str], key: str | None = None) -> Rollover:
    """Bring the next generation of `line` into force; what the one before has signed stays good.

    `names` are the site's servers' beside those below its own name, `key` says where the new key is to be made, if not
    in a file of its own. Raises `Fault`: not found (no such line with a key here), conflict (two roots are in force
    already), and what `Ceremony.bring` raises.
    """
    with read(ceremony.db) as connection:
        old = in_force(connection, line)
        root = None if old.purpose is Purpose.ROOT else in_force(connection, Purpose.ROOT.value)
        number = next_number(connection, line)
        if root is None:
            _require_room(list_issuers(connection), number)
    if root is None:
        # Without it the old root could not lead to the new one, which would be of no use to anybody.
        opened_key(old, ceremony.cabinet)
    called = None if line == old.purpose.value else line
    generation = Generation(site, old.purpose, number, tuple(names), called, key)
    new = ceremony.bring(generation, root)
    crosses: tuple[CrossCertificate, ...] = ()
    if root is None:
        crosses = (ceremony.cross(new, old), ceremony.cross(old, new))
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        new = bring_into_force(changing, new)
    with read(ceremony.db) as connection:
        return Rollover(get_issuer_named(connection, old.name), new, crosses)


def in_force(connection: Connection, line: str) -> Issuer:
    """Return the issuer of `line` that signs now, its key here or not. Raises `Fault` (not found)."""
    found = [each for each in list_issuers(connection) if each.line == line and each.state is IssuerState.ACTIVE]
    if not found:
        lines = ", ".join(dict.fromkeys(each.line for each in list_issuers(connection))) or "none"
        raise Fault(Kind.NOT_FOUND, f"there is no CA {line[:40]!r} in force", hint=f"there are: {lines}")
    return found[-1]


def next_number(connection: Connection, line: str) -> int:
    """Return the number of the generation that comes next: one that was begun and is not yet in force, or a new one."""
    numbers = [0]
    for issuer in list_issuers(connection):
        if issuer.line == line and issuer.state is IssuerState.INACTIVE:
            return issuer.number
        if issuer.line == line:
            numbers.append(issuer.number)
    numbers += [each.number for each in list_issuer_requests(connection) if each.line == line]
    return max(numbers) + 1


def bring_into_force(change: Change, issuer: Issuer) -> Issuer:
    """Let an issuer sign, and those of its line that did so before sign no more; once done, nothing changes."""
    for other in list_issuers(change.connection):
        if other.line == issuer.line and other.state is IssuerState.ACTIVE and other.issuer_id != issuer.issuer_id:
            set_issuer_state(change, other.issuer_id, IssuerState.SUPERSEDED, successor=issuer.issuer_id)
    return set_issuer_state(change, issuer.issuer_id, IssuerState.ACTIVE)


def obstacles(connection: Connection, issuer: Issuer, now: datetime) -> tuple[str, ...]:
    """Return what would be lost if nothing that `issuer` has signed were taken any more, in words.

    A device that is away counts for as long as it may still renew with what it has.
    """
    issuers = list_issuers(connection)
    since = counted_from(connection, issuer, now)
    found: list[str] = []
    if issuer.purpose is Purpose.ROOT:
        below = [each.name for each in issuers if each.parent_id == issuer.issuer_id and each.is_trusted]
        if below:
            found.append(f"it has certified {', '.join(below)}, which are not retired")
        counts = count_uptake(connection, since, _younger_of(issuers, issuer))
        waiting = counts[UptakeState.TOLD] + counts[UptakeState.BEHIND]
        if is_root(issuer) and waiting:
            found.append(f"{waiting} of {sum(counts.values())} devices have not shown that they hold a younger root")
        return tuple(found)
    dependents = count_dependents(connection, since, issuer.issuer_id, _younger_of(issuers, issuer))
    if dependents:
        what = "devices" if issuer.purpose is Purpose.DEVICES else issuer.purpose.value
        found.append(f"{dependents} {what} have certificates of it to renew, and none of a younger CA")
    return tuple(found)


def retire(ceremony: Ceremony, name: str, *, force: str | None = None) -> Issuer:
    """Take nothing any more that the issuer of this name has signed. For good.

    `force` names it again, to retire it although somebody is lost. Raises `Fault`: not found; conflict while it signs
    itself, or while somebody would be lost and `force` is not its name; malformed when `force` names another.
    """
    now = ceremony.clock.now()
    with change(ceremony.db, ceremony.clock, ceremony.actor, ceremony.why) as changing:
        issuer = get_issuer_named(changing.connection, name)
        if force is not None and force != issuer.name:
            raise Fault(Kind.MALFORMED, f"--force names {force!r}, and {issuer.name!r} is to be retired")
        if issuer.state is IssuerState.ACTIVE:
            raise Fault(
                Kind.CONFLICT,
                f"{issuer.name} signs, and nothing younger of its line does",
                hint=f"roll it over first: troth ca rollover {issuer.line}",
            )
        lost = () if issuer.state is IssuerState.RETIRED else obstacles(changing.connection, issuer, now)
        if lost and force is None:
            raise Fault(
                Kind.CONFLICT,
                f"{issuer.name} cannot be retired without loss",
                parts=[Fault(Kind.CONFLICT, each) for each in lost],
                hint=f"troth ca uptake {issuer.name} tells who; to retire it all the same: --force {issuer.name}",
            )
        return set_issuer_state(changing, issuer.issuer_id, IssuerState.RETIRED, lost=list(lost))


def younger(connection: Connection, issuer: Issuer) -> list[str]:
    """Return the ids of those that can stand in for `issuer` when it is gone."""
    return _younger_of(list_issuers(connection), issuer)


def _younger_of(issuers: Sequence[Issuer], issuer: Issuer) -> list[str]:
    """Return the ids of those that can stand in for `issuer`: trusted, for the same purpose, and born after it."""
    born = (issuer.created_at, issuer.number)
    return [
        each.issuer_id
        for each in issuers
        if each.purpose is issuer.purpose
        and each.is_trusted
        and is_root(each) == is_root(issuer)
        and (each.created_at, each.number) > born
    ]


def _require_room(issuers: Sequence[Issuer], number: int) -> None:
    roots = [each for each in issuers if is_root(each) and each.is_trusted and each.number != number]
    if len(roots) >= ROOTS_IN_FORCE_MAX:
        raise Fault(
            Kind.CONFLICT,
            f"{' and '.join(each.name for each in roots)} are both in force",
            hint=f"retire {roots[0].name} first: a device that holds it alone could not follow to a third root",
        )
