"""Proof by a certificate of a registered CA of elsewhere: a maker's (IEEE 802.1AR IDevID), or a customer's own.

TLS has proven that the peer holds its key, and has checked purpose and dates; whether it leads to a registered CA was
looked at in the handshake from memory, and is decided here from the database. RFC 5280 section 6; IEEE 802.1AR, 8.6.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import Connection

from troth.enrollment.definitions import Definition, ForeignRule, Way
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import not_proven
from troth.enrollment.proofs.way import Shown
from troth.errors import Kind, PeerFault
from troth.journal.change import Change
from troth.registry.foreign_issuers import ForeignIssuer, ForeignPurpose, ForeignState, list_foreign_issuers
from troth.x509.certificates import UNREADABLE, certificate_id, find_extension, parse_certificate, subject_text
from troth.x509.requests import Request
from troth.x509.verify import find_path

PURPOSES: Final[Mapping[Way, ForeignPurpose]] = {
    Way.IDEVID: ForeignPurpose.MANUFACTURER,
    Way.CUSTOMER_CA: ForeignPurpose.CUSTOMER,
}


@dataclass(frozen=True, slots=True)
class ForeignWay:
    """The certificate of the connection, held against the registered CAs of one purpose."""

    way: Way
    definition: Definition
    presented: Presented

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool) -> Shown:
        """Return whose certificate it is. See `ProvingWay.prove`."""
        if not self.presented.peer_chain or not self.presented.is_stranger:
            raise not_proven("no certificate of another CA was shown")
        rule = self.definition.foreign.get(self.way, ForeignRule())
        issuers = [
            each
            for each in list_foreign_issuers(connection, PURPOSES[self.way])
            if each.state is ForeignState.ACTIVE and (not rule.issuers or each.name in rule.issuers)
        ]
        try:
            leaf, *above = map(parse_certificate, self.presented.peer_chain)
            issuer = issuer_of(leaf, above, issuers, at)
        except PeerFault as fault:
            raise not_proven(f"the certificate does not lead to a registered CA: {fault.message}") from fault
        facts = name_facts(leaf)
        if rule.serials is not None and facts.get("serial") not in rule.serials:
            raise not_proven(f"serial number {facts.get('serial')!r} of {issuer.name!r} may not come")
        evidence = {
            "certificate_id": certificate_id(leaf),
            "subject": subject_text(leaf.subject)[:512],
            "issuer": issuer.name,
            "issuer_id": issuer.issuer_id,
        }
        subject = hashlib.sha256(leaf.subject.public_bytes()).hexdigest()
        return Shown(evidence, credential=f"{self.way}:{issuer.issuer_id}:{subject}", facts=facts)

    def spend(self, change: Change, shown: Shown, intent_id: str) -> None:
        """Nothing is used up: the thing is bound to the certificate's subject."""


def issuer_of(
    leaf: x509.Certificate, above: Sequence[x509.Certificate], issuers: Sequence[ForeignIssuer], at: datetime
) -> ForeignIssuer:
    """Return the registered CA that `leaf`, of a device and no CA, leads to.

    A CA that has given its CRL must tell by it of every certificate on the way. Raises `PeerFault`.
    """
    # A signature is whole octets: with unused bits, the same one would make other certificates of one.
    if not leaf.public_bytes(Encoding.DER).endswith(b"\x00" + leaf.signature):
        raise _no_issuer()
    try:
        constraints = find_extension(leaf, x509.BasicConstraints)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the certificate cannot be read", detail=str(error)) from error
    if constraints is not None and constraints.ca:
        raise _no_issuer()
    last: PeerFault = _no_issuer()
    for issuer in issuers:
        crls = None if issuer.crl is None else (issuer.crl,)
        try:
            find_path(leaf, above, (issuer.certificate,), at=at, use=None, crls=crls)
        except PeerFault as fault:
            last = fault
        else:
            return issuer
    raise last


def _no_issuer() -> PeerFault:
    return PeerFault(Kind.UNAUTHENTICATED, "it is no device's, or no CA is registered")


def name_facts(leaf: x509.Certificate) -> dict[str, str]:
    """Return what a thing's name may be made of: each only where the subject has it exactly once."""
    found = {"certificate": certificate_id(leaf)[:32]}
    for fact, kind in (("cn", NameOID.COMMON_NAME), ("serial", NameOID.SERIAL_NUMBER)):
        values = leaf.subject.get_attributes_for_oid(kind)
        if len(values) == 1 and isinstance(values[0].value, str):
            found[fact] = values[0].value
    return found
