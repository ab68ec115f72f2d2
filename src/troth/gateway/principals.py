"""Principals read from the registry and kept: who a certificate is, with its policies ready to be asked.

Never blocks the loop: look-ups run in a thread. What is kept is as new as the last journal entry that `apply` was
given. Decides nothing (`troth.gateway.admission`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from sqlalchemy import Connection

from troth.errors import Fault, Kind
from troth.gateway.touching import Key, touched_by
from troth.journal.entries import head
from troth.journal.record import Entry
from troth.limits import POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.attachment import NamedPolicy, TargetKind
from troth.policy.context import Thing
from troth.policy.document import parse_document
from troth.policy.statement import Document
from troth.registry.certificates import CertificateState
from troth.registry.foreign_issuers import ForeignPurpose, find_foreign_purpose
from troth.registry.issuers import find_issuer
from troth.registry.principals import AttachedPolicy, Principal, find_principal
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import CertificateAttributes, attributes
from troth.x509.profiles import Purpose

_THREADS: Final = 4
_ATTEMPTS: Final = 5
_DOCUMENTS_KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class Known:
    """A certificate and all that decides what its holder may do, at one moment of the registry."""

    certificate_id: str
    state: CertificateState
    not_before: datetime
    not_after: datetime
    issuer_id: str
    purpose: Purpose | None
    """What its issuer certifies; None when nothing that it has certified is taken, or it is not known here."""
    method: str
    """How its holder proved who it is when it was issued."""
    attributes: CertificateAttributes
    things: tuple[Thing, ...]
    policies: tuple[NamedPolicy, ...] | None
    """All that reach it, through whichever thing; None when one of them cannot be read."""
    position: int
    """The number of the last journal entry that this reflects."""
    key_protection: str | None = None
    """What keeps its key, by the word of whoever let it be enrolled."""


class Principals:
    """The principals that one worker has met. Those in use are kept, of the others the last met."""

    def __init__(self, db: Database, limits: Limits) -> None:
        self.position = 0
        """The number of the last journal entry that everything kept here reflects."""
        self._db = db
        self._kept_max = limits.principals_kept_max
        self._known: dict[str, Known] = {}
        self._index: dict[Key, set[str]] = {}
        self._uses: dict[str, int] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, "principals")
        # Ten thousand devices with one policy share one document.
        self._document = lru_cache(_DOCUMENTS_KEPT)(_parse)

    def find(self, certificate_id: str) -> Known | None:
        """Return what is kept of a certificate; None when it has to be looked up."""
        if certificate_id in self._idle:
            self._idle.move_to_end(certificate_id)
        return self._known.get(certificate_id)

    async def get(self, certificate_id: str) -> Known | None:
        """Return the principal of a certificate, kept or looked up; None when it is not registered.

        It reflects every entry that `apply` has been given by the time it is returned. Raises `Fault` (unavailable).
        """
        known = self.find(certificate_id)
        return known if known is not None else (await self.look_up([certificate_id]))[certificate_id]

    async def look_up(self, certificate_ids: Sequence[str]) -> dict[str, Known | None]:
        """Look principals up anew, all in one snapshot, and keep them. Raises `Fault` (unavailable)."""
        loop = asyncio.get_running_loop()
        for _ in range(_ATTEMPTS):
            position, found = await loop.run_in_executor(self._threads, self._read, tuple(certificate_ids))
            # Entries that `apply` was given meanwhile may have touched what this snapshot does not show yet.
            if position >= self.position:
                for certificate_id, known in found.items():
                    self._forget(certificate_id)
                    if known is not None:
                        self._keep(known)
                return found
        raise Fault(Kind.UNAVAILABLE, "the registry changes faster than it can be read")

    def apply(self, entries: Sequence[Entry]) -> set[str]:
        """Take note of journal entries: forget what they touch, and return the certificate ids of it."""
        touched: set[str] = set()
        for entry in entries:
            touched |= self.touched(entry)
        self.position = entries[-1].number
        for certificate_id in touched:
            self._forget(certificate_id)
        return touched

    def touched(self, entry: Entry) -> set[str]:
        """Return the certificate ids of what is kept that an entry touches."""
        keys = tuple(touched_by(entry))
        named = (name for noun, name in keys if noun == "certificate" and name in self._known)
        return set(named).union(*(self._index.get(key, ()) for key in keys))

    def forget_all(self) -> None:
        """Keep nothing: whatever is asked next is looked up."""
        for certificate_id in tuple(self._known):
            self._forget(certificate_id)

    def use(self, certificate_id: str) -> None:
        """Keep this principal for as long as it is in use; one call of `release` for each."""
        self._uses[certificate_id] = self._uses.get(certificate_id, 0) + 1
        self._idle.pop(certificate_id, None)

    def release(self, certificate_id: str) -> None:
        """It is used once less."""
        self._uses[certificate_id] -= 1
        if not self._uses[certificate_id]:
            del self._uses[certificate_id]
            if certificate_id in self._known:
                self._rest(certificate_id)

    def close(self) -> None:
        """End the threads; look-ups under way are waited for."""
        self._threads.shutdown()

    def _read(self, certificate_ids: tuple[str, ...]) -> tuple[int, dict[str, Known | None]]:
        found: dict[str, Known | None] = {}
        with read(self._db) as connection:
            position = head(connection)
            for certificate_id in certificate_ids:
                principal = find_principal(connection, certificate_id)
                if principal is None:
                    found[certificate_id] = None
                    continue
                purpose = _purpose(connection, principal.certificate.issuer_id)
                found[certificate_id] = self._understood(principal, purpose)
        return position, found

    def _understood(self, principal: Principal, purpose: Purpose | None) -> Known:
        row = principal.certificate
        return Known(
            certificate_id=row.certificate_id,
            state=row.state,
            not_before=row.not_before,
            not_after=row.not_after,
            issuer_id=row.issuer_id,
            purpose=purpose,
            method=row.method,
            attributes=attributes(x509.load_der_x509_certificate(row.der)),
            things=tuple(
                Thing(each.name, each.type, each.attributes, each.exclusive, each.groups) for each in principal.things
            ),
            policies=self._readable(principal.policies),
            position=principal.position,
            key_protection=row.key_protection,
        )

    def _readable(self, attached: Iterable[AttachedPolicy]) -> tuple[NamedPolicy, ...] | None:
        try:
            return tuple(
                NamedPolicy(each.name, self._document(each.document), TargetKind(each.target_kind), each.target)
                for each in attached
            )
        except Fault:
            return None

    def _keep(self, known: Known) -> None:
        self._known[known.certificate_id] = known
        for key in _keys_of(known):
            self._index.setdefault(key, set()).add(known.certificate_id)
        if known.certificate_id not in self._uses:
            self._rest(known.certificate_id)

    def _rest(self, certificate_id: str) -> None:
        self._idle[certificate_id] = None
        if len(self._idle) > self._kept_max:
            self._forget(next(iter(self._idle)))

    def _forget(self, certificate_id: str) -> None:
        self._idle.pop(certificate_id, None)
        known = self._known.pop(certificate_id, None)
        if known is None:
            return
        for key in _keys_of(known):
            holders = self._index[key]
            holders.discard(certificate_id)
            if not holders:
                del self._index[key]


def _purpose(connection: Connection, issuer_id: str) -> Purpose | None:
    """Return what an issuer certifies, ours or one of elsewhere."""
    issuer = find_issuer(connection, issuer_id)
    if issuer is not None:
        # Of one that is retired or revoked nothing is taken any more.
        return issuer.purpose if issuer.is_trusted else None
    # When a customer's CA is deactivated, certificates of it that are registered stay as they are, as on AWS.
    return Purpose.DEVICES if find_foreign_purpose(connection, issuer_id) is ForeignPurpose.CUSTOMER else None


def _keys_of(known: Known) -> set[Key]:
    """Return all by which it is to be found, beside its own name."""
    keys = {("issuer", known.issuer_id)}
    keys.update(("thing", thing.name) for thing in known.things)
    keys.update(("group", group) for thing in known.things for group in thing.groups)
    # One policy may reach it in several ways.
    keys.update(("policy", policy.name) for policy in known.policies or ())
    return keys


def _parse(text: str) -> Document:
    # It was within the bounds of the day when it was stored.
    return parse_document(text, Limits(policy_chars_max=POLICY_DOCUMENT_CHARS_MAX))
