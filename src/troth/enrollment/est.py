"""EST's operations as values in, values out: cacerts and simpleenroll. Knows no HTTP.

RFC 7030 sections 4.1 and 4.2. simplereenroll, serverkeygen, csrattrs and fullcmc are not offered.
"""

from collections.abc import Sequence
from typing import Final

from troth.enrollment.flow import Enrolled, Enrollment
from troth.enrollment.proofs.token import TokenClaim
from troth.protocols.est import Credentials, parse_body, render_certificates
from troth.registry.issuers import Issuer
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

_TOLD: Final = (Purpose.ROOT, Purpose.DEVICES)


def cacerts(issuers: Sequence[Issuer]) -> bytes:
    """Return the body of /cacerts for a site with these issuers: its roots and the issuing CAs of its devices.

    Those of every generation (section 4.1.3). Who has no root yet must not take it from here: nothing proves this
    answer but a root.
    """
    return render_certificates([issuer.certificate for issuer in issuers if issuer.purpose in _TOLD])


async def simpleenroll(enrollment: Enrollment, credentials: Credentials, body: bytes) -> tuple[Enrolled, bytes]:
    """Return who was enrolled, and the body of the answer: the new certificate alone (section 4.2.3).

    `credentials` are a thing's name and its token, `body` is a request in base64. Raises `PeerFault` for a body that
    cannot be read, and `Fault` as `Enrollment.enroll` does.
    """
    request = parse_request(parse_body(body))
    enrolled = await enrollment.enroll(TokenClaim(credentials.user, credentials.password), request)
    return enrolled, render_certificates([enrolled.certificate])
