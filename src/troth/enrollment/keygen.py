"""Server-side key generation: a key made here for who cannot make one, handed over once with its certificate.

RFC 7030 section 4.4. The key is stored nowhere, so that a lost answer cannot be given again. Where the request names a
key to encrypt it to, its own or that of the connection's certificate, it leaves this process encrypted. Knows no HTTP.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ObjectIdentifier
from sqlalchemy import Connection

from troth.enrollment.definitions import Definition, ServerKeys
from troth.enrollment.enrollments import get_enrollment
from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.linking import require_linked
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.claim import Claim, Proof
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.errors import Bug, Fault, Kind, PeerFault
from troth.journal.change import Change
from troth.keys.enveloping import envelop, key_id, require_recipient
from troth.keys.file import FileKey, generate
from troth.protocols.est import parse_body
from troth.x509.algorithms import PublicKey
from troth.x509.certificates import UNREADABLE, find_extension, parse_certificate
from troth.x509.requests import Request, build_request_info, parse_request
from troth.x509.signed import assemble_signed

DECRYPT_KEY_ID: Final = ObjectIdentifier("1.2.840.113549.1.9.16.2.37")
ASYMMETRIC_DECRYPT_KEY_ID: Final = ObjectIdentifier("1.2.840.113549.1.9.16.2.54")
"""RFC 7030, 4.4.1.2: names the key that the new one is to be encrypted to."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A thing with a certificate, and the key that was made for it: the only copy."""

    enrolled: Enrolled
    key: bytes = field(repr=False)
    """PKCS#8 in DER; encrypted, CMS ContentInfo with it."""
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class ServerKeyClaim:
    """What proves an enrollment, where it lets keys be made here."""

    inner: EnrollmentClaim
    is_encrypted: bool

    def prove(self, connection: Connection, at: datetime, request: Request, *, lock: bool = False) -> Proof:
        """Return what is proven. See `Claim.prove`. Raises `Fault` (forbidden) too, where policy makes no such keys."""
        _require_allowed(get_enrollment(connection, self.inner.presented.label).definition, self.is_encrypted)
        return self.inner.prove(connection, at, request, lock=lock)

    def spend(self, change: Change, proof: Proof, intent_id: str) -> None:
        """See `Claim.spend`."""
        self.inner.spend(change, proof, intent_id)


async def serverkeygen(enrollment: Enrollment, presented: Presented, body: bytes) -> Generated:
    """Make a key of the kind that the request is signed with, and enroll with it; `body` is a request in base64.

    Raises `Fault` as `simpleenroll` does; forbidden where the enrollment allows it not; bad key for a recipient that
    nothing can be encrypted to; unsupported for encryption by a shared secret.
    """
    asked = parse_request(parse_body(body))
    is_linked = require_linked(asked, presented.channel_binding)
    recipient = _recipient(asked, presented)
    claim: Claim = ServerKeyClaim(EnrollmentClaim(presented.linked(is_linked)), recipient is not None)
    # A key costs up to a second of work: not for everybody.
    await enrollment.require_proven(claim, asked)
    key = await asyncio.to_thread(generate, asked.algorithm)
    done = await enrollment.enroll(claim, _request(key, asked))
    if isinstance(done, Waiting):
        raise Bug("an enrollment that waits for a person makes no keys")
    plain = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    hidden = envelop(plain, *recipient) if recipient is not None else plain
    return Generated(done, hidden, recipient is not None)


def _require_allowed(definition: Definition, is_encrypted: bool) -> None:
    if definition.server_keys is ServerKeys.NONE:
        raise Fault(
            Kind.FORBIDDEN,
            "keys are not made here for this enrollment",
            hint="make the key on the device, and enroll with simpleenroll",
        )
    if definition.server_keys is ServerKeys.ENCRYPTED and not is_encrypted:
        raise Fault(
            Kind.FORBIDDEN,
            "keys leave here encrypted only",
            hint="name the key to encrypt it to in the request: AsymmetricDecryptKeyIdentifier (RFC 7030, 4.4.1.2)",
        )


def _request(key: FileKey, asked: Request) -> Request:
    content = build_request_info(asked.subject, key.public_key, ())
    return parse_request(assemble_signed(content, key.algorithm, key.sign(content)))


def _recipient(asked: Request, presented: Presented) -> tuple[PublicKey, bytes] | None:
    """Return the key that the new one is to be encrypted to, and by what it is named; None when none is asked for."""
    try:
        attributes = {each.oid: each.value for each in x509.load_der_x509_csr(asked.der).attributes}
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the request's attributes cannot be read", detail=str(error)) from error
    if DECRYPT_KEY_ID in attributes:
        raise Fault(Kind.UNSUPPORTED, "keys are not encrypted by a shared secret here (RFC 7030, 4.4.1.1)")
    if ASYMMETRIC_DECRYPT_KEY_ID not in attributes:
        return None
    named = attributes[ASYMMETRIC_DECRYPT_KEY_ID]
    for public_key, identifier in _own_keys(asked, presented):
        if identifier == named:
            require_recipient(public_key)
            return public_key, identifier
    raise Fault(
        Kind.REJECTED,
        "the request names a key to encrypt to which is neither its own nor that of the connection's certificate",
        hint="name it by its subject key identifier (RFC 5280, 4.2.1.2): SHA-1 of the key's bits",
    )


def _own_keys(asked: Request, presented: Presented) -> list[tuple[PublicKey, bytes]]:
    """Return the keys that who asks has proven to hold, by their identifiers."""
    held = [(asked.public_key, key_id(asked.public_key))]
    if presented.peer_chain and not presented.is_stranger:
        certificate = parse_certificate(presented.peer_chain[0])
        identifier = find_extension(certificate, x509.SubjectKeyIdentifier)
        public_key = certificate.public_key()
        if identifier is not None and isinstance(public_key, PublicKey):
            held.append((public_key, identifier.digest))
    return held
