"""What every ceremony does with CA keys: make one, have it certified by another, and register what came of it.

Each step stands by itself, so that a ceremony cut off anywhere is finished by calling again. Needs no network. Knows no
file: keys come from a `KeyCabinet`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from troth.authority.cross import Crossing
from troth.authority.derive import read_profile
from troth.authority.door import Door
from troth.authority.generation import Generation
from troth.authority.intents import IntentState, find_prepared
from troth.authority.issuer_intents import prepare_issuer
from troth.authority.settle import settle
from troth.clock import Clock
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.keys.signing import SigningKey
from troth.points import Point, reached
from troth.registry.cross_certificates import CrossCertificate, find_cross_certificate
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.profiles import get_profile
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.algorithms import KeyAlgorithm, PublicKey, algorithm_of
from troth.x509.public_keys import render_public_key
from troth.x509.requests import Request

_T = TypeVar("_T")


class KeyCabinet(Protocol):
    """Where the keys of CAs are kept, by names like ``root/root.key`` and ``keys/devices-1.key``."""

    def make(self, name: str, algorithm: KeyAlgorithm) -> SigningKey:
        """Return the key kept under `name`; where there is none, make one, and keep it safely before returning."""
        ...

    def open(self, name: str, public_key: PublicKey | None = None) -> SigningKey:
        """Return the key kept under `name`. Where its public half is given, a token need not be there yet.

        Raises `Fault`: not found, bad key; unavailable for a token that does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ceremony:
    """One ceremony's database, keys and maker."""

    db: Database
    clock: Clock
    public_url: str
    cabinet: KeyCabinet
    actor: str
    why: str = ""
    """The reason given for it, for the journal."""

    def bring(self, generation: Generation, parent: Issuer | None) -> Issuer:
        """Return the issuer of this generation, made and certified now if there is none; `parent` is None for a root.

        Raises `Fault`: what the cabinet, `prepare_issuer` and `Door.sign` raise.
        """
        with read(self.db) as connection:
            existing = find_generation(connection, generation)
            if existing is not None:
                return existing
            rules = read_profile(get_profile(connection, generation.profile).document)
        # Where the parent's key is not at hand, none is made in vain.
        signer = opened_key(parent, self.cabinet) if parent else None
        # The key is safe before anything that names it is committed.
        key = self.cabinet.make(generation.key_name, rules.algorithms[0])
        reached(Point.KEY_KEPT)
        return self._certified(
            generation,
            key.public_key,
            parent,
            signer or key,
            lambda connection: find_generation(connection, generation),
        )

    def cross(self, root: Issuer, by: Issuer) -> CrossCertificate:
        """Return the certificate of one root by another, made now if there is none. Raises `Fault` as `bring` does."""

        def found(connection: Connection) -> CrossCertificate | None:
            return find_cross_certificate(connection, root.issuer_id, by.issuer_id)

        with read(self.db) as connection:
            existing = found(connection)
        if existing is not None:
            return existing
        signer = opened_key(by, self.cabinet)
        return self._certified(Crossing(root.certificate), _key_of(root), by, signer, found)

    def certify(self, generation: Generation, request: Request, parent: Issuer) -> Issuer:
        """Return the issuer of this generation whose key, elsewhere, has signed `request`; certified now if need be.

        Raises `Fault` as `bring` does, and conflict for a generation that has another key.
        """
        with read(self.db) as connection:
            existing = find_generation(connection, generation)
        if existing is not None:
            if existing.certificate.public_key() != request.public_key:
                raise Fault(Kind.CONFLICT, f"{generation.name} is certified already, with another key")
            return existing
        return self._certified(
            generation,
            request.public_key,
            parent,
            opened_key(parent, self.cabinet),
            lambda connection: find_generation(connection, generation),
            request,
        )

    def _certified(
        self,
        evidence: Generation | Crossing,
        public_key: PublicKey,
        parent: Issuer | None,
        signer: SigningKey,
        find: Callable[[Connection], _T | None],
        request: Request | None = None,
    ) -> _T:
        own_digest = hashlib.sha256(render_public_key(public_key)).hexdigest()
        signer_id = parent.issuer_id if parent else own_digest
        door = Door({signer_id: signer}, self.public_url)
        with read(self.db) as connection:
            cut_off = find_prepared(connection, signer_id, request.digest if request else own_digest)
        if cut_off is not None and cut_off.profile == evidence.profile:
            # One that ended between intent and conclusion: finished now, or refused when that is too long ago.
            settle(self.db, self.clock, door, cut_off.intent_id)
            with read(self.db) as connection:
                existing = find(connection)
            if existing is not None:
                return existing
        with change(self.db, self.clock, self.actor, self.why) as changing:
            intent = prepare_issuer(
                changing,
                generation=evidence,
                public_key=public_key,
                parent=parent,
                public_url=self.public_url,
                request=request,
            )
        settled = settle(self.db, self.clock, door, intent.intent_id)
        if settled.state is IntentState.REFUSED:
            raise settled.refused()
        with read(self.db) as connection:
            made = find(connection)
        if made is None:
            raise Bug("an issuer has been certified and is not registered")
        return made


def opened_key(issuer: Issuer, cabinet: KeyCabinet) -> SigningKey:
    """Return an issuer's key. Raises `Fault`: not found, bad key, also when it is not that of its certificate."""
    if not issuer.key_name:
        raise Fault(
            Kind.NOT_FOUND,
            f"the key of {issuer.name} is kept elsewhere",
            hint="have the request signed where that key is: troth ca request, then troth ca sign there",
        )
    key = cabinet.open(issuer.key_name, _key_of(issuer))
    if key.public_key != issuer.certificate.public_key():
        raise Fault(
            Kind.BAD_KEY,
            f"the key {issuer.key_name} is not that of issuer {issuer.name}",
            hint="put back the key that belongs there; a backup has it",
        )
    return key


def find_generation(connection: Connection, generation: Generation) -> Issuer | None:
    """Return the registered issuer of this generation, or None."""
    return next((issuer for issuer in list_issuers(connection) if issuer.name == generation.name), None)


def _key_of(issuer: Issuer) -> PublicKey:
    public_key = issuer.certificate.public_key()
    algorithm_of(public_key)
    assert isinstance(public_key, PublicKey)  # algorithm_of has just said so
    return public_key
