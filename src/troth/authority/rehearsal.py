"""A rollover played before it is done: on a copy of the hierarchy, under keys of its own, with nothing signed for real.

The copy has the names, windows, profiles and states of the real one as one snapshot shows them. What concerns the fleet
is asked of the same snapshot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from sqlalchemy import Connection

from troth.authority.ceremony import Ceremony
from troth.authority.derive import read_profile
from troth.authority.door import Door
from troth.authority.graces import counted_from, longest_grace
from troth.authority.hierarchy import open_keys
from troth.authority.issuer_intents import CEREMONY
from troth.authority.rollover import in_force, obstacles, roll_over, younger
from troth.authority.settle import issue
from troth.authority.stand_in import MemoryKeys, stand_in
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.registry.issuers import Issuer, IssuerState, get_issuer, list_issuers
from troth.registry.profiles import apply_profile, list_profiles
from troth.registry.trust import is_root, path_shown
from troth.registry.uptake import count_dependents, count_roots, last_expiry
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import ExtendedUse, Profile, Purpose
from troth.x509.requests import parse_request
from troth.x509.verify import verify_chain


class Weight(StrEnum):
    """What a finding means."""

    BREAKS = "breaks"
    """Done like this, the rollover fails or somebody is lost."""
    NOTE = "note"
    """Good to know before."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the rehearsal has shown."""

    weight: Weight
    check: str
    """``missing-key``, ``refused``, ``window``, ``old-trust``, ``outlived``, ``laggards``, ``request``."""
    message: str


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What was played and what it showed."""

    played: tuple[str, ...]
    """The generations that were born in the copy."""
    findings: tuple[Finding, ...]

    @property
    def breaks(self) -> bool:
        """Whether the rollover is not to be done like this."""
        return any(finding.weight is Weight.BREAKS for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be rehearsed."""

    line: str
    site: str
    names: Sequence[str]
    is_here: Callable[[Issuer], bool]
    """Whether an issuer's key is at hand."""
    retire_in: timedelta | None = None
    """When the old generation is to be retired; None: not decided."""


def rehearse(connection: Connection, copy: Ceremony, plan: Plan) -> Rehearsed:
    """Play the rollover of `plan` on `copy`, an empty database with a cabinet that is thrown away (`MemoryKeys`).

    `connection` sees the real home, and only reads. Raises `Fault` (not found) for a line that does not exist.
    """
    old = in_force(connection, plan.line)
    now = copy.clock.now()
    findings = [*_missing_keys(connection, plan, old)]
    real = _copy(connection, copy)
    played: list[str] = []
    # A new root shows what it breaks only once something is signed under it.
    lines = [plan.line]
    if old.purpose is Purpose.ROOT:
        lines += dict.fromkeys(
            each.line for each in list_issuers(connection) if each.state is IssuerState.ACTIVE and each.key_name
            and each.purpose is not Purpose.ROOT
        )  # fmt: skip
    try:
        for line in lines:
            done = roll_over(copy, site=plan.site, line=line, names=plan.names)
            played.append(done.new.name)
            findings += _windows(copy, done.new, now)
        findings += _old_trust(connection, copy, plan, real)
    except Fault as fault:
        findings.append(Finding(Weight.BREAKS, "refused", f"{fault.message}{f' ({fault.hint})' if fault.hint else ''}"))
    findings += _fleet(connection, plan, old, now)
    return Rehearsed(tuple(played), tuple(findings))


def _missing_keys(connection: Connection, plan: Plan, old: Issuer) -> list[Finding]:
    signers = [old] if old.purpose is Purpose.ROOT else [in_force(connection, Purpose.ROOT.value), old]
    found = []
    for issuer in signers:
        if not issuer.key_name:
            how = "use troth ca request here and troth ca sign there"
            found.append(Finding(Weight.BREAKS, "missing-key", f"the key of {issuer.name} is kept elsewhere: {how}"))
        elif not plan.is_here(issuer):
            what = f"the key of {issuer.name} is not here: bring back {issuer.key_name}"
            found.append(Finding(Weight.BREAKS, "missing-key", what))
    return found


def _copy(connection: Connection, copy: Ceremony) -> dict[str, str]:
    """Fill the copy; return the ids of its issuers by those of the real ones."""
    keys = copy.cabinet
    if not isinstance(keys, MemoryKeys):
        raise Fault(Kind.MISCONFIGURED, "a rehearsal has keys of its own")
    ids: dict[str, str] = {}
    with change(copy.db, copy.clock, copy.actor) as changing:
        for profile in list_profiles(connection):
            apply_profile(changing, profile.document)
        stand_in(connection, changing, keys, ids)
    return ids


def _windows(copy: Ceremony, new: Issuer, now: datetime) -> list[Finding]:
    """What the new generation's own end does to what it is to sign."""
    # Certificates tell time in whole seconds, and it has gone on since they were made.
    left = new.certificate.not_valid_after_utc - now + timedelta(minutes=1)
    found = []
    with read(copy.db) as connection:
        rules = [read_profile(profile.document) for profile in list_profiles(connection)]
    own = next((each for each in rules if each.ca and each.ca.purpose is new.purpose and not each.ca.cross), None)
    end = f"{new.certificate.not_valid_after_utc:%Y-%m-%d}"
    if own is not None and left < own.validity:
        words = f"{new.name} would end on {end} with what certified it, before the {_days(own.validity)} of its profile"
        found.append(Finding(Weight.NOTE, "window", words))
    for profile in rules:
        if _signs(new, profile) and left < profile.validity:
            words = f"certificates of profile {profile.name!r} would be cut short: {new.name} ends on {end}"
            found.append(Finding(Weight.BREAKS, "window", words))
    return found


def _old_trust(connection: Connection, copy: Ceremony, plan: Plan, real: Mapping[str, str]) -> list[Finding]:
    """Whether devices can still verify a server certified by the newest generation, whichever root they hold."""
    chain = _server_chain(copy, plan)
    with read(copy.db) as rehearsed:
        issuers = {issuer.issuer_id: issuer for issuer in list_issuers(rehearsed)}
    held = count_roots(connection, copy.clock.now() - longest_grace(connection))
    # Of whom nothing is known holds what was in force when it came: any root that is there.
    unknown = held.pop(None, 0)
    found = []
    names = {issuer.issuer_id: issuer.name for issuer in list_issuers(connection)}
    for root in (issuer for issuer in list_issuers(connection) if is_root(issuer) and issuer.is_trusted):
        count = held.pop(root.issuer_id, 0)
        anchor = issuers[real[root.issuer_id]].certificate
        try:
            verify_chain(chain, [anchor], at=copy.clock.now(), use=ExtendedUse.SERVER_AUTH)
        except Fault as fault:
            who = f"{count} devices that hold {root.name}" + (
                f", and up to {unknown} of whom nothing is known" * bool(unknown)
            )
            found.append(Finding(Weight.BREAKS, "old-trust", f"{who} could not verify our servers: {fault.message}"))
    for root_id, count in held.items():
        name = names.get(root_id or "", "a root that is not known")
        words = f"{count} devices have last shown {name}, which is not in force: give them root.pem anew"
        found.append(Finding(Weight.BREAKS, "old-trust", words))
    return found


def _fleet(connection: Connection, plan: Plan, old: Issuer, now: datetime) -> list[Finding]:
    """What stands in the way of retiring the old generation."""
    found = [Finding(Weight.NOTE, "laggards", f"today, {each}") for each in obstacles(connection, old, now)]
    if old.purpose is Purpose.ROOT:
        return found
    end = last_expiry(connection, now, old.issuer_id)
    if end is not None:
        found.append(Finding(Weight.NOTE, "outlived", f"the last certificate of {old.name} expires on {end:%Y-%m-%d}"))
    if plan.retire_in is not None:
        at = now + plan.retire_in
        since = counted_from(connection, old, at)
        left = count_dependents(connection, since, old.issuer_id, younger(connection, old))
        if left:
            words = (
                f"{left} certificates of {old.name} would be good, or within their grace, when it goes on {at:%Y-%m-%d}"
            )
            found.append(Finding(Weight.BREAKS, "outlived", words))
    return found


def _server_chain(copy: Ceremony, plan: Plan) -> list[x509.Certificate]:
    """Certify a server in the copy, and return what it would show."""
    with read(copy.db) as connection:
        door = Door(open_keys(connection, copy.cabinet, (Purpose.SERVERS,)), copy.public_url)
        issuer = get_issuer(connection, Purpose.SERVERS)
    leaf = issue(
        copy.db,
        copy.clock,
        door,
        copy.actor,
        profile="server",
        request=parse_request(build_request(generate(KeyAlgorithm.P256), plan.site)),
        name=plan.site,
        alternative_names=[plan.site],
        method=CEREMONY,
        proof={},
        public_url=copy.public_url,
    )
    with read(copy.db) as connection:
        return [leaf, *path_shown(connection, issuer.issuer_id)]


def _signs(issuer: Issuer, profile: Profile) -> bool:
    line = profile.issuer_name or issuer.purpose.value
    return profile.ca is None and profile.issuer is issuer.purpose and line == issuer.line


def _days(span: timedelta) -> str:
    return f"{span.days} days"
