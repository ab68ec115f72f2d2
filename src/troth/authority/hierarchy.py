"""The birth of a site's hierarchy: a root that signs itself, and one issuing CA each for devices, servers, operators.

Each step stands by itself, so that a birth cut off anywhere is finished by calling again. Needs no network. Knows no
file: keys come from a `KeyCabinet`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from troth.authority.ceremony import Ceremony, KeyCabinet, opened_key
from troth.authority.generation import Generation
from troth.clock import Clock
from troth.journal.change import change
from troth.keys.signing import SigningKey
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.profiles import apply_profile, find_profile
from troth.store.connect import Database
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Purpose

__all__ = [
    "FOR_THINGS",
    "INIT",
    "ISSUING",
    "Hierarchy",
    "KeyCabinet",
    "apply_profiles",
    "found",
    "found_root",
    "open_keys",
]

INIT: Final = "system:init"
FOUNDED: Final = (Purpose.DEVICES, Purpose.SERVERS, Purpose.OPERATORS)
"""What every site certifies. A CA for peers is made where things are to trust each other, by a ceremony of its own."""
ISSUING: Final = (*FOUNDED, Purpose.PEERS)
FOR_THINGS: Final = (Purpose.DEVICES, Purpose.PEERS)
"""What is certified for whoever comes from outside and proves to be a thing."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A site's issuers, each in its generation in force."""

    root: Issuer
    issuing: Mapping[Purpose, Issuer]


def found(
    db: Database,
    clock: Clock,
    *,
    site: str,
    names: Sequence[str] = (),
    public_url: str,
    profiles: Sequence[str],
    cabinet: KeyCabinet,
    actor: str = INIT,
) -> Hierarchy:
    """Bring the site's first generation of issuers into being, or what of it is still missing; return it whole.

    `names` are DNS names and addresses of the site's servers beside those below its own name. `profiles` are TOML texts
    (the built-in ones); those whose names are taken stay as they are. A root's key is opened only where something is
    left for it to sign. Raises `Fault`: malformed (site, names, profiles); bad key when a key is not that of its
    certificate; what `cabinet`, `prepare` and `Door.sign` raise.
    """
    apply_profiles(db, clock, profiles, actor)
    ceremony = Ceremony(db, clock, public_url, cabinet, actor)
    root = ceremony.bring(Generation(site, Purpose.ROOT, 1), None)
    return Hierarchy(
        root, {purpose: ceremony.bring(Generation(site, purpose, 1, tuple(names)), root) for purpose in FOUNDED}
    )


def found_root(
    db: Database, clock: Clock, *, site: str, public_url: str, profiles: Sequence[str], cabinet: KeyCabinet
) -> Issuer:
    """Bring the site's root into being and nothing below it: for a machine that only signs. Raises as `found` does."""
    apply_profiles(db, clock, profiles, INIT)
    return Ceremony(db, clock, public_url, cabinet, INIT).bring(Generation(site, Purpose.ROOT, 1), None)


def open_keys(
    connection: Connection, cabinet: KeyCabinet, purposes: Sequence[Purpose] = ISSUING
) -> dict[str, SigningKey]:
    """Return the keys of all issuers for `purposes` whose signatures count, by issuer id, as `Door` takes them.

    Those whose keys are kept elsewhere are left out. Raises `Fault`: not found or bad key as the cabinet does, bad key
    when one is not that of its certificate.
    """
    return {
        issuer.issuer_id: opened_key(issuer, cabinet)
        for issuer in list_issuers(connection)
        if issuer.purpose in purposes and issuer.is_trusted and issuer.key_name
    }


def apply_profiles(db: Database, clock: Clock, profiles: Sequence[str], actor: str) -> None:
    """Put profiles into force whose names are free; others stay as they are. Raises `Fault` (malformed)."""
    with change(db, clock, actor) as changing:
        for document in profiles:
            if find_profile(changing.connection, parse_profile(document).name) is None:
                apply_profile(changing, document)
