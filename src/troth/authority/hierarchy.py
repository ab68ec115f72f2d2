"""The birth of a site's hierarchy: a root that signs itself, and one issuing CA each for devices, servers, operators.

Each step stands by itself, so that a birth cut off anywhere is finished by calling again. Needs no network. Knows no
file: keys come from a `KeyCabinet`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection

from troth.authority.derive import read_profile, render_public_key
from troth.authority.door import Door
from troth.authority.generation import Generation
from troth.authority.intents import IntentState, find_prepared
from troth.authority.issue import prepare_issuer
from troth.authority.settle import settle
from troth.clock import Clock
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.keys.signing import SigningKey
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.profiles import apply_profile, find_profile, get_profile
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm, PublicKey
from troth.x509.profile_text import parse_profile
from troth.x509.profiles import Purpose

INIT: Final = "system:init"
ISSUING: Final = (Purpose.DEVICES, Purpose.SERVERS, Purpose.OPERATORS)


class KeyCabinet(Protocol):
    """Where the keys of CAs are kept, by names like ``root/root.key`` and ``keys/devices-1.key``."""

    def make(self, name: str, algorithm: KeyAlgorithm) -> SigningKey:
        """Return the key kept under `name`; where there is none, make one, and keep it safely before returning."""
        ...

    def open(self, name: str) -> SigningKey:
        """Return the key kept under `name`. Raises `Fault` (not found, bad key)."""
        ...


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
    _apply(db, clock, profiles, actor)
    midwife = _Midwife(db, clock, public_url, cabinet, actor)
    root = midwife.bring(Generation(site, Purpose.ROOT, 1), None)
    return Hierarchy(
        root, {purpose: midwife.bring(Generation(site, purpose, 1, tuple(names)), root) for purpose in ISSUING}
    )


def open_keys(
    connection: Connection, cabinet: KeyCabinet, purposes: Sequence[Purpose] = ISSUING
) -> dict[str, SigningKey]:
    """Return the keys of all issuers for `purposes` by issuer id, as `Door` takes them.

    Raises `Fault`: not found or bad key as the cabinet does, bad key when one is not that of its certificate.
    """
    return {
        issuer.issuer_id: _opened(issuer, cabinet) for issuer in list_issuers(connection) if issuer.purpose in purposes
    }


def _apply(db: Database, clock: Clock, profiles: Sequence[str], actor: str) -> None:
    with change(db, clock, actor) as changing:
        for document in profiles:
            if find_profile(changing.connection, parse_profile(document).name) is None:
                apply_profile(changing, document)


@dataclass(frozen=True, slots=True)
class _Midwife:
    """What every step of a birth needs."""

    db: Database
    clock: Clock
    public_url: str
    cabinet: KeyCabinet
    actor: str

    def bring(self, generation: Generation, parent: Issuer | None) -> Issuer:
        """Return the issuer, made now if there is none."""
        with read(self.db) as connection:
            existing = _find(connection, generation)
            if existing is not None:
                return existing
            rules = read_profile(get_profile(connection, generation.profile).document)
        # The key is safe before anything that names it is committed.
        key = self.cabinet.make(generation.key_name, rules.algorithms[0])
        digest = hashlib.sha256(render_public_key(key.public_key)).hexdigest()
        signer_id = parent.issuer_id if parent else digest
        door = Door({signer_id: _opened(parent, self.cabinet) if parent else key}, self.public_url)
        with read(self.db) as connection:
            cut_off = find_prepared(connection, signer_id, digest)
        if cut_off is not None:
            # A birth that ended between intent and conclusion: finished now, or refused when that is too long ago.
            settle(self.db, self.clock, door, cut_off.intent_id)
            with read(self.db) as connection:
                existing = _find(connection, generation)
            if existing is not None:
                return existing
        return self._certify(generation, key.public_key, parent, door)

    def _certify(self, generation: Generation, key: PublicKey, parent: Issuer | None, door: Door) -> Issuer:
        with change(self.db, self.clock, self.actor) as changing:
            intent = prepare_issuer(
                changing, generation=generation, public_key=key, parent=parent, public_url=self.public_url
            )
        settled = settle(self.db, self.clock, door, intent.intent_id)
        if settled.state is IntentState.REFUSED:
            raise settled.refused()
        with read(self.db) as connection:
            issuer = _find(connection, generation)
        if issuer is None:
            raise Bug("an issuer has been certified and is not registered")
        return issuer


def _find(connection: Connection, generation: Generation) -> Issuer | None:
    return next((issuer for issuer in list_issuers(connection) if issuer.name == generation.name), None)


def _opened(issuer: Issuer, cabinet: KeyCabinet) -> SigningKey:
    key = cabinet.open(issuer.key_name)
    if key.public_key != issuer.certificate.public_key():
        raise Fault(
            Kind.BAD_KEY,
            f"the key {issuer.key_name} is not that of issuer {issuer.name}",
            hint="put back the key that belongs there; a backup has it",
        )
    return key
