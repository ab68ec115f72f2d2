"""Proof by a claim certificate: one of ours that many devices share to introduce themselves, for nothing else.

It proves that a device is one of a kind and not which: its thing is named by the enrollment's rule, and belongs to the
first key that comes with it (`troth.enrollment.newcomers`).
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Connection

from troth.enrollment.definitions import Definition
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import not_proven
from troth.enrollment.proofs.foreign import name_facts
from troth.enrollment.proofs.way import Shown
from troth.errors import PeerFault
from troth.journal.change import Change
from troth.registry.certificates import CertificateState, find_certificate
from troth.registry.issuers import find_issuer
from troth.registry.keys_seen import key_digest
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.profiles import Purpose
from troth.x509.public_keys import render_public_key
from troth.x509.requests import Request
from troth.x509.times import is_in_time


@dataclass(frozen=True, slots=True)
class ClaimCertificateWay:
    """The certificate of the connection, held against the registry."""

    definition: Definition
    presented: Presented

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool) -> Shown:
        """Return that the claim is one of the enrollment's. See `ProvingWay.prove`."""
        if not self.presented.peer_chain or self.presented.is_stranger or self.presented.is_expired:
            raise not_proven("no claim certificate was shown")
        try:
            leaf = parse_certificate(self.presented.peer_chain[0])
        except PeerFault as fault:
            raise not_proven(f"the certificate cannot be read: {fault.message}") from fault
        identity, rule = certificate_id(leaf), self.definition.claim
        row = find_certificate(connection, identity)
        if row is None or row.profile != rule.profile or row.thing is not None:
            raise not_proven(f"certificate {identity} is no claim of profile {rule.profile!r}")
        if rule.certificates is not None and identity not in rule.certificates:
            raise not_proven(f"claim certificate {identity} is not one of this enrollment's")
        if row.state is not CertificateState.ACTIVE:
            raise not_proven(f"claim certificate {identity} is {row.state.lower()}")
        if not is_in_time(row.not_before, row.not_after, at):
            raise not_proven(f"claim certificate {identity} is not valid now")
        issuer = find_issuer(connection, row.issuer_id)
        if issuer is None or issuer.purpose is not Purpose.DEVICES or not issuer.is_trusted:
            raise not_proven(f"claim certificate {identity} is of an issuer that is not taken for devices")
        own_key = key_digest(render_public_key(request.public_key))
        if own_key == key_digest(leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)):
            raise not_proven("the request is for the key of the claim certificate, which many share")
        return Shown({"claim_id": identity}, credential=f"key:{own_key}", facts=name_facts(leaf))

    def spend(self, change: Change, shown: Shown, intent_id: str) -> None:
        """Nothing is used up: the next device comes with the same certificate."""
