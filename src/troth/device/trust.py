"""The roots that a device trusts, kept in step with its home through a rollover. RFC 7030 section 4.1.3.

Stricter than that: a new root is taken only when a root that is trusted already has certified it, never because the
home's server says so; whoever steals a server's key can make no device trust another root. Knows no EST but `est`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from troth.clock import Clock
from troth.device.est import ESTServer
from troth.device.identity import Identity, open_identity, read_trust_tag, write_trust, write_trust_tag
from troth.device.network import INTERNET, Network
from troth.device.slots import holding
from troth.errors import Fault, Kind
from troth.x509.algorithms import is_sound_hash
from troth.x509.certificates import UNREADABLE, certificate_id
from troth.x509.verify import verify_issued_by


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What came of it."""

    trust: tuple[x509.Certificate, ...]
    added: tuple[x509.Certificate, ...]
    dropped: tuple[x509.Certificate, ...]
    refused: tuple[x509.Certificate, ...]
    """Roots that the home tells of and no trusted root has certified."""


def refresh_trust(path: Path, clock: Clock, network: Network = INTERNET) -> Refreshed:
    """Ask the home which roots are in force, take those that a trusted one vouches for, and tell the home so.

    Roots that the home tells of no more are dropped. Nothing is written unless the home can be verified by what would
    be trusted then. Raises `Fault`: what `ESTServer` raises; unauthenticated when no root would be left; conflict while
    another process changes the folder.
    """
    identity = open_identity(path)
    tag = read_trust_tag(path)
    bundle = _server(identity, identity.trust, network).trust_bundle(identity.slot, tag)
    if bundle is None:
        return Refreshed(identity.trust, (), (), ())
    at = (network.judge_of(identity.time_servers) or clock).now()
    found = judge(identity.trust, bundle.certificates, at)
    server = _server(identity, found.trust, network)
    if found.added or found.dropped:
        # It proves itself by the new roots before they are all that counts.
        server.ca_certificates()
    with holding(path):
        if found.added or found.dropped:
            write_trust(path, found.trust)
        if bundle.tag is not None and not found.refused:
            write_trust_tag(path, bundle.tag)
    if bundle.tag is not None and not found.refused:
        # Asked for by its tag, the home learns that this device holds it.
        server.trust_bundle(identity.slot, bundle.tag)
    return found


def judge(trust: Sequence[x509.Certificate], told: Sequence[x509.Certificate], at: datetime) -> Refreshed:
    """Return which roots to trust after a home has told of these certificates. Raises `Fault` (unauthenticated)."""
    known = {certificate_id(root): root for root in trust}
    roots = {certificate_id(each): each for each in told if _signs_itself(each)}
    kept = tuple(root for identity, root in known.items() if identity in roots)
    new = [root for identity, root in roots.items() if identity not in known]
    added = tuple(root for root in new if _is_vouched_for(root, told, trust, at))
    if not kept and not added:
        raise Fault(
            Kind.UNAUTHENTICATED,
            "the home tells of no root that this device has reason to trust",
            hint="ask whoever runs the home; nothing was changed",
        )
    return Refreshed(
        trust=(*added, *kept),
        added=added,
        dropped=tuple(root for identity, root in known.items() if identity not in roots),
        refused=tuple(root for root in new if root not in added),
    )


def _is_vouched_for(
    root: x509.Certificate, told: Sequence[x509.Certificate], trust: Sequence[x509.Certificate], at: datetime
) -> bool:
    """Say whether one of `trust` has certified the root's name and key, in a certificate among `told`."""
    crosses = [each for each in told if each.subject == root.subject and each.public_key() == root.public_key()]
    for cross in crosses:
        for trusted in trust:
            if cross.issuer != trusted.subject or cross.issuer == cross.subject:
                continue
            try:
                # Below it stand its own issuers: as a root it is good for no less.
                verify_issued_by(cross, trusted, at=at, use=None, below=2)
                verify_issued_by(root, cross, at=at, use=None, below=1)
            except Fault:
                continue
            return True
    return False


def _signs_itself(certificate: x509.Certificate) -> bool:
    try:
        if certificate.subject != certificate.issuer or not is_sound_hash(certificate.signature_hash_algorithm):
            return False
        certificate.verify_directly_issued_by(certificate)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _server(identity: Identity, roots: tuple[x509.Certificate, ...], network: Network) -> ESTServer:
    endpoint = identity.endpoint
    judge = network.judge_of(identity.time_servers)
    return ESTServer(endpoint.est, endpoint.name_of(endpoint.est), roots, judge=judge, network=network)
