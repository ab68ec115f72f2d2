"""EST's operations as values in, values out: cacerts and simpleenroll. Knows no HTTP.

RFC 7030 sections 4.1 and 4.2. simplereenroll, serverkeygen, csrattrs and fullcmc are not offered.
"""

from troth.enrollment.flow import Enrolled, Enrollment
from troth.enrollment.proofs.token import TokenClaim
from troth.protocols.est import Credentials, parse_body, render_certificates
from troth.registry.trust import TrustBundle
from troth.x509.requests import parse_request


def cacerts(bundle: TrustBundle) -> bytes:
    """Return the body of /cacerts: the roots in force, what leads from one to another, the issuing CAs of devices.

    Those of every generation that is in force (section 4.1.3). Who has no root yet must not take it from here: nothing
    proves this answer but a root.
    """
    return render_certificates(bundle.certificates)


async def simpleenroll(enrollment: Enrollment, credentials: Credentials, body: bytes) -> tuple[Enrolled, bytes]:
    """Return who was enrolled, and the body of the answer: the new certificate alone (section 4.2.3).

    `credentials` are a thing's name and its token, `body` is a request in base64. Raises `PeerFault` for a body that
    cannot be read, and `Fault` as `Enrollment.enroll` does.
    """
    request = parse_request(parse_body(body))
    enrolled = await enrollment.enroll(TokenClaim(credentials.user, credentials.password), request)
    return enrolled, render_certificates([enrolled.certificate])
