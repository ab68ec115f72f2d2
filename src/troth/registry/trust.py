"""Whom devices are to trust now, and by which certificates one root leads to another.

The bundle holds the roots in force, the cross certificates between them and the issuing CAs of devices and of peers:
what EST calls cacerts (RFC 7030, 4.1.3).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from sqlalchemy import Connection

from troth.registry.cross_certificates import CrossCertificate, list_cross_certificates
from troth.registry.issuers import Issuer, IssuerState, chain_of, list_issuers
from troth.x509.certificates import certificate_id
from troth.x509.profiles import Purpose

_IN_FORCE = frozenset((IssuerState.ACTIVE, IssuerState.SUPERSEDED))


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """What devices are told at one moment."""

    roots: tuple[Issuer, ...]
    """In force, the youngest first."""
    crosses: tuple[CrossCertificate, ...]
    """Between those roots."""
    devices: tuple[Issuer, ...]
    """The issuing CAs of devices whose certificates are taken."""
    peers: tuple[Issuer, ...] = ()
    """The issuing CAs of things towards each other. A gateway takes none of theirs."""

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Everything in it."""
        return (
            *(root.certificate for root in self.roots),
            *(cross.certificate for cross in self.crosses),
            *(issuer.certificate for issuer in (*self.devices, *self.peers)),
        )

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 of the ids of all that is in it, sorted: the same for the same bundle."""
        return bundle_digest(self.certificates)


def bundle_digest(certificates: Sequence[x509.Certificate]) -> str:
    """Return the digest of a bundle, in whatever order it came."""
    return hashlib.sha256("\n".join(sorted(certificate_id(each) for each in certificates)).encode()).hexdigest()


def trust_bundle(connection: Connection) -> TrustBundle:
    """Return the bundle as it is now."""
    issuers = list_issuers(connection)
    roots = [each for each in issuers if is_root(each) and each.state in _IN_FORCE]
    known = {root.issuer_id for root in roots}
    return TrustBundle(
        roots=tuple(reversed(roots)),
        crosses=tuple(
            cross
            for cross in list_cross_certificates(connection)
            if cross.subject_id in known and cross.issuer_id in known
        ),
        devices=tuple(each for each in issuers if each.purpose is Purpose.DEVICES and each.is_trusted),
        peers=tuple(each for each in issuers if each.purpose is Purpose.PEERS and each.is_trusted),
    )


def is_root(issuer: Issuer) -> bool:
    """Say whether an issuer stands at the top: devices may be given its certificate to trust."""
    return issuer.purpose is Purpose.ROOT and issuer.parent_id is None


def path_shown(connection: Connection, issuer_id: str) -> tuple[x509.Certificate, ...]:
    """Return what a server certified by this issuer shows below its own certificate: all but the root.

    While another root is in force too, the certificate of ours by that one follows, so that who trusts only the other
    gets there. Raises `Fault` (not found) for an unknown issuer.
    """
    *shown, root = chain_of(connection, issuer_id)
    bundle = trust_bundle(connection)
    own = certificate_id(root)
    return (*shown, *(cross.certificate for cross in bundle.crosses if cross.subject_id == own))
