"""EST's operations as values in, values out: cacerts, csrattrs, simpleenroll and simplereenroll. Knows no HTTP.

RFC 7030 sections 3.5, 4.1, 4.2 and 4.5; serverkeygen is `troth.enrollment.keygen`.
"""

from functools import partial

from sqlalchemy import Connection

from troth.authority.derive import read_profile
from troth.enrollment.enrollments import get_enrollment
from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.inheritance import inherit
from troth.enrollment.linking import require_linked
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.certificate import CertificateClaim
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.errors import Fault, Kind
from troth.protocols.csr_attributes import build_csr_attributes
from troth.protocols.est import parse_body, render_body, render_certificates
from troth.registry.profiles import get_profile
from troth.registry.trust import TrustBundle
from troth.x509.certificates import certificate_id, parse_certificate
from troth.x509.requests import Request, parse_request


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
    request, is_linked = _read(presented, body)
    return await enrollment.enroll(EnrollmentClaim(presented.linked(is_linked)), request)


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
    request, is_linked = _read(presented, body)
    claim = CertificateClaim(presented.peer_chain[0], presented.label, is_linked)
    done = await enrollment.enroll(claim, request)
    if isinstance(done, Enrolled):
        before = certificate_id(parse_certificate(presented.peer_chain[0]))
        await enrollment.run(partial(inherit, before=before, after=certificate_id(done.certificate)))
    return done


def render_enrolled(enrolled: Enrolled) -> bytes:
    """Return the body of the answer: the new certificate alone (section 4.2.3)."""
    return render_certificates([enrolled.certificate])


def _read(presented: Presented, body: bytes) -> tuple[Request, bool]:
    """Return the request, and whether it was made for this very connection."""
    request = parse_request(parse_body(body))
    return request, require_linked(request, presented.channel_binding)


def csrattrs(connection: Connection, label: str) -> bytes:
    """Return the body of /csrattrs: what a request to the enrollment of this label is to hold (section 4.5, RFC 9908).

    Raises `Fault` (not found) for a label without enrollment.
    """
    definition = get_enrollment(connection, label).definition
    profile = read_profile(get_profile(connection, definition.profile).document)
    return render_body(build_csr_attributes(profile.algorithms[0], linked=definition.linked))
