"""OCSP requests read, and responses built, as values and bytes: RFC 6960, RFC 5019 (lightweight), RFC 9654 (nonces).

Knows no key, no clock and no registry. Requests are read as strict DER within `OCSP_REQUEST_BYTES_MAX`; a CertID is
repeated in the answer exactly as it came.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from troth.errors import Kind, PeerFault
from troth.limits import OCSP_CERTIFICATES_MAX, OCSP_NONCE_BYTES_MAX, OCSP_REQUEST_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm, PublicKey, signature_identifier
from troth.x509.crl import REASON_CODES, Reason
from troth.x509.der import (
    BIT_STRING,
    BOOLEAN,
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Reader,
    constructed,
    generalized_time,
    primitive,
    tlv,
)

_BASIC: Final = bytes.fromhex("06092b0601050507300101")
_NONCE: Final = bytes.fromhex("2b0601050507300102")
_SHA1: Final = bytes.fromhex("2b0e03021a")
_SHA256: Final = bytes.fromhex("608648016503040201")
_VERSION_1: Final = 0


class ResponseStatus(IntEnum):
    """What became of a request (RFC 6960, 4.2.1)."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


@dataclass(frozen=True, slots=True)
class IssuerDigests:
    """By which a CertID names an issuer: content of the hash's OID, digests of its name and of its key (4.1.1)."""

    algorithm: bytes
    name_hash: bytes
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class CertID:
    """The certificate that is asked about."""

    der: bytes
    """As it came."""
    issuer: IssuerDigests
    serial: int


@dataclass(frozen=True, slots=True)
class OCSPRequest:
    """A request, as far as it says anything that a responder may heed."""

    cert_ids: tuple[CertID, ...]
    """1 to `OCSP_CERTIFICATES_MAX`, in the order asked for."""
    nonce: bytes | None
    """1 to `OCSP_NONCE_BYTES_MAX` octets."""
    is_signed: bool
    """Whether there is a signature; it is not looked at (RFC 5019, 2.1.1 and 3.1.1)."""


@dataclass(frozen=True, slots=True)
class CertStatus:
    """The state of one certificate. Make it with `good`, `unknown` or `revoked`."""

    der: bytes


def good() -> CertStatus:
    """Return the state of a certificate that was issued and is not revoked."""
    return CertStatus(tlv(primitive(0)))


def unknown() -> CertStatus:
    """Return the state of a serial number that the issuer has never given to a certificate."""
    return CertStatus(tlv(primitive(2)))


def revoked(at: datetime, reason: Reason) -> CertStatus:
    """Return the state of a certificate that is revoked or on hold since `at`; unspecified is said by silence."""
    said = b""
    if reason is not Reason.UNSPECIFIED:
        said = tlv(constructed(0), tlv(ENUMERATED, bytes((REASON_CODES[reason],))))
    return CertStatus(tlv(constructed(1), generalized_time(at), said))


@dataclass(frozen=True, slots=True)
class SingleResponse:
    """What is said of one certificate, and how long it may be believed."""

    cert_id: CertID
    status: CertStatus
    this_update: datetime
    next_update: datetime


def parse_request(data: bytes) -> OCSPRequest:
    """Read a request in DER.

    Raises `PeerFault`: too large (bytes, certificates asked about), malformed (no DER, another version, an extension
    that is critical and not known, a nonce of no octets or more than `OCSP_NONCE_BYTES_MAX`: RFC 9654, 2.1).
    """
    if len(data) > OCSP_REQUEST_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the OCSP request has more than {OCSP_REQUEST_BYTES_MAX} bytes")
    outer = Reader(data)
    whole = outer.inside(SEQUENCE)
    outer.finish()
    request = whole.inside(SEQUENCE)
    is_signed = whole.tag == constructed(0)
    if is_signed:
        whole.skip()
    whole.finish()
    _read_version(request)
    if request.tag == constructed(1):
        request.skip()  # the requestor's name, which decides nothing
    cert_ids = _read_requests(request.inside(SEQUENCE))
    nonce = _read_nonce(request.inside(constructed(2))) if request.tag == constructed(2) else None
    request.finish()
    return OCSPRequest(cert_ids, nonce, is_signed)


def issuer_digests(certificate: x509.Certificate) -> tuple[IssuerDigests, ...]:
    """Return by which digests requests may name this issuer: SHA-1 and SHA-256 (RFC 6960, 4.1.1; RFC 5019, 2.1.1)."""
    name, key = certificate.subject.public_bytes(), _key_bits(certificate)
    return (
        IssuerDigests(_SHA1, hashlib.sha1(name, usedforsecurity=False).digest(), _sha1(key)),
        IssuerDigests(_SHA256, hashlib.sha256(name).digest(), hashlib.sha256(key).digest()),
    )


def responder_id(certificate: x509.Certificate) -> bytes:
    """Return the ResponderID byKey of a signer: SHA-1 of its key, as RFC 6960, 4.2.2.3 has it; a name, not a proof."""
    return tlv(constructed(2), tlv(OCTET_STRING, _sha1(_key_bits(certificate))))


def build_response_data(
    responder: bytes, produced_at: datetime, answers: Sequence[SingleResponse], nonce: bytes | None
) -> bytes:
    """Return the DER ResponseData that is to be signed; `responder` is of `responder_id`."""
    extensions = b""
    if nonce is not None:
        value = tlv(OCTET_STRING, tlv(OCTET_STRING, nonce))
        extensions = tlv(constructed(1), tlv(SEQUENCE, tlv(SEQUENCE, tlv(OBJECT_IDENTIFIER, _NONCE), value)))
    said = tlv(SEQUENCE, *(_render_single(answer) for answer in answers))
    return tlv(SEQUENCE, responder, generalized_time(produced_at), said, extensions)


def assemble_response(data: bytes, algorithm: KeyAlgorithm, signature: bytes, signer: x509.Certificate) -> bytes:
    """Return the DER OCSPResponse of `data`, the signature that a key of `algorithm` made over it, and its certificate.

    The signature is not checked here.
    """
    basic = tlv(
        SEQUENCE,
        data,
        signature_identifier(algorithm),
        tlv(BIT_STRING, b"\x00", signature),
        tlv(constructed(0), tlv(SEQUENCE, signer.public_bytes(Encoding.DER))),
    )
    said = tlv(constructed(0), tlv(SEQUENCE, _BASIC, tlv(OCTET_STRING, basic)))
    return tlv(SEQUENCE, _status(ResponseStatus.SUCCESSFUL), said)


def failed_response(status: ResponseStatus) -> bytes:
    """Return the DER OCSPResponse that says why there is no answer; nobody signs it (RFC 6960, 2.3)."""
    return tlv(SEQUENCE, _status(status))


def _status(status: ResponseStatus) -> bytes:
    return tlv(ENUMERATED, bytes((status,)))


def _render_single(answer: SingleResponse) -> bytes:
    next_update = tlv(constructed(0), generalized_time(answer.next_update))
    return tlv(SEQUENCE, answer.cert_id.der, answer.status.der, generalized_time(answer.this_update), next_update)


def _read_version(request: Reader) -> None:
    if request.tag != constructed(0):
        return
    # DER leaves the default out, but who writes it means the same.
    version = request.inside(constructed(0))
    if version.integer() != _VERSION_1:
        raise PeerFault(Kind.MALFORMED, "the OCSP request is of another version than 1")
    version.finish()


def _read_requests(requests: Reader) -> tuple[CertID, ...]:
    cert_ids: list[CertID] = []
    while requests.tag is not None:
        if len(cert_ids) == OCSP_CERTIFICATES_MAX:
            raise PeerFault(Kind.TOO_LARGE, f"the request is about more than {OCSP_CERTIFICATES_MAX} certificates")
        request = requests.inside(SEQUENCE)
        cert_ids.append(_read_cert_id(request.whole(SEQUENCE)))
        if request.tag == constructed(0):
            _read_extensions(request.inside(constructed(0)))
        request.finish()
    if not cert_ids:
        raise PeerFault(Kind.MALFORMED, "the OCSP request is about no certificate")
    return tuple(cert_ids)


def _read_cert_id(der: bytes) -> CertID:
    fields = Reader(der).inside(SEQUENCE)
    algorithm = fields.inside(SEQUENCE)
    oid = algorithm.content(OBJECT_IDENTIFIER)
    if algorithm.tag is not None:
        algorithm.skip()  # NULL, or nothing: RFC 5754, 2 takes both
    algorithm.finish()
    digests = IssuerDigests(oid, fields.content(OCTET_STRING), fields.content(OCTET_STRING))
    serial = fields.integer()
    fields.finish()
    return CertID(der, digests, serial)


def _read_nonce(extensions: Reader) -> bytes | None:
    value = _read_extensions(extensions, known=_NONCE)
    if value is None:
        return None
    reader = Reader(value)
    nonce = reader.content(OCTET_STRING)
    reader.finish()
    if not 1 <= len(nonce) <= OCSP_NONCE_BYTES_MAX:
        raise PeerFault(Kind.MALFORMED, f"a nonce has 1 to {OCSP_NONCE_BYTES_MAX} octets (RFC 9654, 2.1)")
    return nonce


def _read_extensions(outer: Reader, known: bytes | None = None) -> bytes | None:
    """Return the value of the extension that is `known`; refuse any other that is critical (RFC 6960, 4.4)."""
    extensions = outer.inside(SEQUENCE)
    outer.finish()
    found: bytes | None = None
    while extensions.tag is not None:
        extension = extensions.inside(SEQUENCE)
        oid = extension.content(OBJECT_IDENTIFIER)
        critical = extension.boolean() if extension.tag == BOOLEAN else False
        value = extension.content(OCTET_STRING)
        extension.finish()
        if oid == known:
            if found is not None:
                raise PeerFault(Kind.MALFORMED, "an extension of the OCSP request stands there twice")
            found = value
        elif critical:
            raise PeerFault(Kind.MALFORMED, "a critical extension of the OCSP request is not known here")
    return found


@asn1.sequence
class _PublicKeyInfo:
    algorithm: asn1.TLV
    public_key: asn1.BitString


def _key_bits(certificate: x509.Certificate) -> bytes:
    public_key = certificate.public_key()
    assert isinstance(public_key, PublicKey)  # no other kind of key is certified here
    info = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return asn1.decode_der(_PublicKeyInfo, info).public_key.as_bytes()


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()
