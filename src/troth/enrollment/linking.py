"""Whether a request was made for the very connection that brought it. RFC 7030 section 3.5.

Its challengePassword (RFC 2985, 5.4.1) or estIdentityLinking (RFC 7894, 3.3) then holds, in base64, what only the two
ends of that connection know: tls-unique under TLS 1.2, tls-exporter under TLS 1.3 (RFC 9266).
"""

import base64
import hmac
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AttributeOID, ObjectIdentifier

from troth.enrollment.proofs.claim import not_proven
from troth.errors import Kind, PeerFault
from troth.x509.certificates import UNREADABLE
from troth.x509.requests import Request

IDENTITY_LINKING: Final = ObjectIdentifier("1.2.840.113549.1.9.16.2.56")


def require_linked(request: Request, channel_binding: bytes | None) -> bool:
    """Say whether the request is linked to the connection with this binding; it need not be linked to any.

    Raises `Fault`: unauthenticated when it is linked to another; malformed.
    """
    try:
        attributes = x509.load_der_x509_csr(request.der).attributes
        links = [each.value for each in attributes if each.oid in (AttributeOID.CHALLENGE_PASSWORD, IDENTITY_LINKING)]
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the request's attributes cannot be read", detail=str(error)) from error
    if not links:
        return False
    expected = base64.b64encode(channel_binding) if channel_binding else None
    if expected is None or not all(hmac.compare_digest(link, expected) for link in links):
        raise not_proven("the request is linked to another connection than the one that brought it")
    return True
