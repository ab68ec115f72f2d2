"""The whole hierarchy as it stands, for whoever shows it: every CA, what is under it, and how much it has signed."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from troth.registry.census import count_by_issuer
from troth.registry.certificates import CertificateState
from troth.registry.cross_certificates import CrossCertificate, list_cross_certificates
from troth.registry.issuer_requests import IssuerRequest, list_issuer_requests
from troth.registry.issuers import Issuer, list_issuers
from troth.registry.trust import TrustBundle, trust_bundle


@dataclass(frozen=True, slots=True)
class Standing:
    """One CA and what it has signed."""

    issuer: Issuer
    depth: int
    """0 for what stands at the top."""
    issued: int
    """All certificates that it has signed and that are still on record, CAs not counted."""
    active: int
    revoked: int


@dataclass(frozen=True, slots=True)
class Overview:
    """A hierarchy at one moment."""

    standings: tuple[Standing, ...]
    """From the top down: each CA is followed by those that it has certified."""
    crosses: tuple[CrossCertificate, ...]
    requests: tuple[IssuerRequest, ...]
    bundle: TrustBundle


def overview(connection: Connection) -> Overview:
    """Return the hierarchy as `connection` sees it. Counts all certificates: the cost grows with the fleet."""
    issuers = list_issuers(connection)
    counts = count_by_issuer(connection)

    def standing(issuer: Issuer, depth: int) -> Standing:
        own = counts.get(issuer.issuer_id, {})
        active, revoked = own.get(CertificateState.ACTIVE, 0), own.get(CertificateState.REVOKED, 0)
        return Standing(issuer, depth, sum(own.values()), active, revoked)

    def below(parent_id: str | None, depth: int) -> list[Standing]:
        found: list[Standing] = []
        for issuer in issuers:
            if issuer.parent_id == parent_id:
                found += [standing(issuer, depth), *below(issuer.issuer_id, depth + 1)]
        return found

    return Overview(
        standings=tuple(below(None, 0)),
        crosses=tuple(list_cross_certificates(connection)),
        requests=tuple(list_issuer_requests(connection)),
        bundle=trust_bundle(connection),
    )


def is_over(issuer: Issuer, now: datetime) -> bool:
    """Say whether an issuer's own certificate has expired."""
    return now > issuer.certificate.not_valid_after_utc
