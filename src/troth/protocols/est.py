"""EST paths, bodies and credentials, for both ends: base64, certs-only PKCS#7, HTTP Basic. Knows no HTTP server.

RFC 7030 sections 3.2.2, 4.1 and 4.2; RFC 8951 section 3 (base64 is what travels, Content-Transfer-Encoding is not
looked at); RFC 7617 for Basic.
"""

import base64
import binascii
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from troth.errors import Kind, OurFault, PeerFault
from troth.limits import (
    EST_BODY_BYTES_MAX,
    EST_CERTIFICATES_BYTES_MAX,
    EST_CERTIFICATES_MAX,
    NAME_CHARS_MAX,
    TOKEN_CHARS_MAX,
)
from troth.x509.certificates import UNREADABLE, parse_certificate

PATH: Final = "/.well-known/est"


class Operation(StrEnum):
    """What is asked for: the last part of a path (RFC 7030 section 3.2.2)."""

    CACERTS = "cacerts"
    SIMPLEENROLL = "simpleenroll"
    SIMPLEREENROLL = "simplereenroll"
    FULLCMC = "fullcmc"
    SERVERKEYGEN = "serverkeygen"
    CSRATTRS = "csrattrs"
    RENEWAL_INFO = "renewal-info"
    """Our own: when the certificate of the connection is to be renewed."""


CACERTS_PATH: Final = f"{PATH}/{Operation.CACERTS}"
SIMPLEENROLL_PATH: Final = f"{PATH}/{Operation.SIMPLEENROLL}"
SIMPLEREENROLL_PATH: Final = f"{PATH}/{Operation.SIMPLEREENROLL}"
RENEWAL_INFO_PATH: Final = f"{PATH}/{Operation.RENEWAL_INFO}"

REQUEST_TYPE: Final = "application/pkcs10"
CERTIFICATES_TYPE: Final = "application/pkcs7-mime; smime-type=certs-only"

KEY_TYPE: Final = "application/pkcs8"
ENCRYPTED_KEY_TYPE: Final = "application/pkcs7-mime; smime-type=server-generated-key"
_BOUNDARY: Final = "est-part"
"""What parts the two halves of an answer to serverkeygen; base64 has no hyphen."""
KEY_AND_CERTIFICATE_TYPE: Final = f'multipart/mixed; boundary="{_BOUNDARY}"'

CHALLENGE: Final = 'Basic realm="enrollment", charset="UTF-8"'
"""What WWW-Authenticate says where credentials are missing (RFC 7030 section 3.2.3, RFC 7617 section 2.1)."""

_OPERATIONS: Final = frozenset(Operation)
_WHITE_SPACE: Final = b" \t\r\n"
_CREDENTIALS_BYTES_MAX: Final = NAME_CHARS_MAX + 1 + TOKEN_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks, and what it shows: a thing's name and an enrollment token, neither of them checked."""

    user: str
    password: str = field(repr=False)


def parse_path(path: str) -> tuple[str | None, Operation] | None:
    """Read ``/.well-known/est[/LABEL]/OPERATION``: the label, if there is one, and the operation; None for all else.

    A label is one part of a path and no operation's name (RFC 7030 section 3.2.2). It is as the client wrote it.
    """
    head, _, last = path.rpartition("/")
    if last not in _OPERATIONS:
        return None
    if head == PATH:
        return None, Operation(last)
    above, _, label = head.rpartition("/")
    if above != PATH or not 0 < len(label) <= NAME_CHARS_MAX or label in _OPERATIONS:
        return None
    return label, Operation(last)


def parse_body(body: bytes, bytes_max: int = EST_BODY_BYTES_MAX) -> bytes:
    """Decode base64, with or without white space in it, to what it holds (a request: DER).

    `bytes_max` bounds the body as it came. Raises `PeerFault`: too large; malformed for anything else than base64 in
    its one right spelling (RFC 4648 section 4: padded, spare bits zero), and for nothing at all.
    """
    if len(body) > bytes_max:
        raise PeerFault(Kind.TOO_LARGE, f"a body of {len(body)} bytes is over the bound of {bytes_max}")
    return _decode(body.translate(None, _WHITE_SPACE), "the body")


def render_body(der: bytes) -> bytes:
    """Return base64 on one line: strongSwan's client cannot read broken ones."""
    return base64.b64encode(der)


def render_certificates(certificates: Sequence[x509.Certificate]) -> bytes:
    """Return a body with these certificates, at least one: PKCS#7 certs-only in base64 on one line.

    DER sorts them, so that who reads them cannot go by their order. An answer to simpleenroll holds the new certificate
    only (RFC 7030 section 4.2.3), an answer to cacerts the trust anchors and what leads to them (section 4.1.3).
    """
    return render_body(pkcs7.serialize_certificates(list(certificates), Encoding.DER))


def render_key_and_certificate(key: bytes, key_type: str, certificate: x509.Certificate) -> bytes:
    """Return the body of an answer to serverkeygen: the key (DER, as `key_type` says), then its certificate.

    Of type `KEY_AND_CERTIFICATE_TYPE` (RFC 7030 section 4.4.2, RFC 2046 section 5.1.3).
    """
    parts = ((key_type, render_body(key)), (CERTIFICATES_TYPE, render_certificates([certificate])))
    rendered = [
        f"--{_BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n".encode() + body + b"\r\n"
        for kind, body in parts
    ]
    return b"".join(rendered) + f"--{_BOUNDARY}--\r\n".encode()


def parse_certificates(body: bytes) -> tuple[x509.Certificate, ...]:
    """Read the 1 to `EST_CERTIFICATES_MAX` certificates of a body such as `render_certificates` makes, in any order.

    Raises `PeerFault`: too large, malformed. Trusts none of them.
    """
    der = parse_body(body, EST_CERTIFICATES_BYTES_MAX)
    try:
        # Where the bytes are no DER, `cryptography` warns and reads them as BER; here they are refused.
        with warnings.catch_warnings(action="error"):
            certificates = pkcs7.load_der_pkcs7_certificates(der)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the body is no PKCS#7 with certificates", detail=str(error)) from error
    if not 1 <= len(certificates) <= EST_CERTIFICATES_MAX:
        raise PeerFault(
            Kind.TOO_LARGE, f"the body has {len(certificates)} certificates, not 1 to {EST_CERTIFICATES_MAX}"
        )
    return tuple(parse_certificate(certificate.public_bytes(Encoding.DER)) for certificate in certificates)


def parse_credentials(header: str) -> Credentials:
    """Read the value of an Authorization header of scheme Basic, in UTF-8.

    The *last* colon parts user from password, where RFC 7617 takes the first: a thing's name may have colons and a
    token has none. Raises `PeerFault`: unauthenticated for another scheme, too large, malformed.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise PeerFault(
            Kind.UNAUTHENTICATED,
            "credentials are not of the scheme Basic",
            hint="use HTTP Basic: the thing's name as user, its token as password",
        )
    if len(encoded) > 2 * _CREDENTIALS_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, "credentials are too long")
    try:
        text = _decode(encoded.strip(" ").encode("ascii"), "the credentials").decode()
    except UnicodeError:
        raise PeerFault(Kind.MALFORMED, "credentials are not UTF-8 in base64") from None
    user, colon, password = text.rpartition(":")
    if not colon or not user or not password or not text.isprintable():
        raise PeerFault(Kind.MALFORMED, "credentials are not USER:PASSWORD")
    return Credentials(user, password)


def render_credentials(credentials: Credentials) -> str:
    """Return the value of an Authorization header. Raises `OurFault` for what could not be read back."""
    text = f"{credentials.user}:{credentials.password}"
    if not credentials.user or not credentials.password or ":" in credentials.password or not text.isprintable():
        raise OurFault(Kind.MALFORMED, "a user and a token are printable and not empty, and a token has no colon")
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _decode(encoded: bytes, what: str) -> bytes:
    try:
        decoded = binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error:
        decoded = b""
    # Encoding it again shows spare bits and missing padding, which the decoder lets pass.
    if not decoded or base64.b64encode(decoded) != encoded:
        raise PeerFault(
            Kind.MALFORMED,
            f"{what} cannot be read as base64",
            hint="send the base64 of the DER, without PEM's first and last line" if what == "the body" else None,
        )
    return decoded
