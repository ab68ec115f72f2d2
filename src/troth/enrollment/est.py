"""EST's operations as values in, values out: cacerts, simpleenroll and simplereenroll. Knows no HTTP.

RFC 7030 sections 3.5, 4.1 and 4.2.
"""

from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.linking import require_linked
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.certificate import CertificateClaim
from troth.enrollment.proofs.claim import Claim
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.errors import Fault, Kind
from troth.protocols.est import parse_body, render_certificates
from troth.registry.trust import TrustBundle
from troth.x509.requests import parse_request


def cacerts(bundle: TrustBundle) -> bytes:
    """Return the body of /cacerts: the roots in force, what leads from one to another, the issuing CAs of devices.

    Those of every generation that is in force (section 4.1.3). Who has no root yet must not take it from here: nothing
    proves this answer but a root.
    """
    return render_certificates(bundle.certificates)


async def simpleenroll(enrollment: Enrollment, presented: Presented, body: bytes) -> Enrolled | Waiting:
    """Return who was enrolled, or what it waits for; `body` is a request in base64.

    Raises `PeerFault` for a body that cannot be read, and `Fault` as `Enrollment.enroll` does.
    """
    return await _enroll(enrollment, presented, EnrollmentClaim(presented), body)


async def simplereenroll(enrollment: Enrollment, presented: Presented, body: bytes) -> Enrolled | Waiting:
    """Return the thing with its renewed certificate, for the one that the peer has shown (section 4.2.2).

    Raises `Fault` as `simpleenroll` does, and forbidden when the peer has shown none.
    """
    if not presented.peer_chain:
        raise Fault(
            Kind.FORBIDDEN,
            "a certificate is renewed by who shows it",
            hint="make the TLS connection with the certificate that is to be renewed",
        )
    return await _enroll(enrollment, presented, CertificateClaim(presented.peer_chain[0]), body)


def render_enrolled(enrolled: Enrolled) -> bytes:
    """Return the body of the answer: the new certificate alone (section 4.2.3)."""
    return render_certificates([enrolled.certificate])


async def _enroll(enrollment: Enrollment, presented: Presented, claim: Claim, body: bytes) -> Enrolled | Waiting:
    request = parse_request(parse_body(body))
    require_linked(request, presented.channel_binding)
    return await enrollment.enroll(claim, request)
