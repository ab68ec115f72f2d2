"""Certification requests (PKCS#10): read with proof of possession, and the part of one that its key signs.

Knows no private key. RFC 2986; names asked for travel in an extension request (RFC 2985, 5.4.2).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from troth.errors import Fault, Kind, PeerFault
from troth.limits import ALTERNATIVE_NAMES_MAX, CSR_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm, PublicKey, is_sound_hash, signature_identifier
from troth.x509.certificates import UNREADABLE
from troth.x509.der import BIT_STRING, SEQUENCE, Reader
from troth.x509.pem import is_pem, parse_pem
from troth.x509.public_keys import SubjectKey, read_subject_key
from troth.x509.signing import is_signature
from troth.x509.subjects import COMMON_NAME_CHARS_MAX

_LABELS: Final = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
_EXTENSION_REQUEST: Final = x509.ObjectIdentifier("1.2.840.113549.1.9.14")


@dataclass(frozen=True, slots=True)
class Request:
    """A certification request whose sender has proven to hold the private key."""

    der: bytes
    public_key: PublicKey
    public_key_info: bytes
    """The key as DER SubjectPublicKeyInfo, as we write it."""
    algorithm: KeyAlgorithm
    subject: x509.Name
    """What was asked for; whoever issues decides what is granted."""
    dns_names: tuple[str, ...]
    digest: str
    """SHA-256 of the DER, 64 lower-case hex digits."""

    @property
    def common_name(self) -> str | None:
        """The one CN of the subject; None when there is none or more than one."""
        values = [part.value for part in self.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def parse_request(data: bytes) -> Request:
    """Read a request in DER or PEM (a single block) and check that its own key has signed it.

    Raises `PeerFault`: too large (`CSR_BYTES_MAX` of DER), malformed (unreadable, bytes behind its end, a wrong
    signature, one over SHA-1 or MD5, a common name out of bounds), bad key (an algorithm that is not listed).
    """
    if len(data) > 2 * CSR_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the request has more than {CSR_BYTES_MAX} bytes")
    der = parse_pem(data, *_LABELS, blocks_max=1)[0] if is_pem(data) else data
    if len(der) > CSR_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the request has more than {CSR_BYTES_MAX} bytes")
    try:
        csr = x509.load_der_x509_csr(der)
        subject = csr.subject
        dns_names = _dns_names(csr.extensions)
    except UNREADABLE as error:
        raise PeerFault(Kind.MALFORMED, "the request cannot be read", detail=str(error)) from error
    _check_common_names(subject)
    key = _proven_plainly(der) or _proven(csr)
    return Request(
        der=der,
        public_key=key.public_key,
        public_key_info=key.info,
        algorithm=key.algorithm,
        subject=subject,
        dns_names=dns_names,
        digest=hashlib.sha256(der).hexdigest(),
    )


def proven_key(der: bytes) -> SubjectKey:
    """Return the key of a request in DER whose own key has signed it: what `parse_request` does, and no name is read.

    Raises `PeerFault` as it does.
    """
    key = _proven_plainly(der)
    if key is not None:
        return key
    request = parse_request(der)
    return SubjectKey(request.public_key, request.algorithm, request.public_key_info)


def _proven_plainly(der: bytes) -> SubjectKey | None:
    """Return the key that has signed the request by our own scheme for it.

    None when it has done so by another, or something is wrong with it: a closer look tells what.
    """
    try:
        whole = Reader(der)
        outer = whole.inside(SEQUENCE)
        whole.finish()
        info, identifier, signature = outer.whole(SEQUENCE), outer.whole(SEQUENCE), outer.content(BIT_STRING)
        outer.finish()
        key = _read_key(info)
        is_own = identifier == signature_identifier(key.algorithm) and signature[:1] == b"\x00"
        return key if is_own and is_signature(key.public_key, signature[1:], info) else None
    except (Fault, *UNREADABLE):
        return None


def _dns_names(extensions: x509.Extensions) -> tuple[str, ...]:
    values = (each.value for each in extensions if isinstance(each.value, x509.SubjectAlternativeName))
    names = tuple(name for san in values for name in san.get_values_for_type(x509.DNSName))
    if len(names) > ALTERNATIVE_NAMES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the request asks for more than {ALTERNATIVE_NAMES_MAX} names")
    return names


def _check_common_names(subject: x509.Name) -> None:
    for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        if not 1 <= len(part.value) <= COMMON_NAME_CHARS_MAX:
            raise PeerFault(
                Kind.MALFORMED, f"the request's common name has not 1 to {COMMON_NAME_CHARS_MAX} characters"
            )


def _proven(csr: x509.CertificateSigningRequest) -> SubjectKey:
    try:
        key = _read_key(csr.tbs_certrequest_bytes)
    except Fault as fault:
        raise PeerFault(fault.kind, fault.message, hint=fault.hint) from fault
    except UNREADABLE as error:
        raise PeerFault(Kind.BAD_KEY, "the request's key cannot be read", detail=str(error)) from error
    _check_possession(csr)
    return key


def _read_key(info: bytes) -> SubjectKey:
    parts = Reader(info).inside(SEQUENCE)
    parts.skip()
    parts.skip()
    return read_subject_key(parts.whole(SEQUENCE))


def _check_possession(csr: x509.CertificateSigningRequest) -> None:
    try:
        sound = is_sound_hash(csr.signature_hash_algorithm)
        valid = csr.is_signature_valid
    except (*UNREADABLE, InvalidSignature) as error:
        raise PeerFault(Kind.MALFORMED, "the request's signature cannot be read", detail=str(error)) from error
    if not sound:
        raise PeerFault(Kind.MALFORMED, "the request is signed over a hash that proves nothing", hint="use SHA-256")
    if not valid:
        raise PeerFault(Kind.MALFORMED, "the request is not signed by its own key (no proof of possession)")


@asn1.sequence
class _Attribute:
    type: x509.ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class _RequestInfo:
    version: int
    subject: asn1.TLV
    public_key: asn1.TLV
    attributes: Annotated[asn1.SetOf[_Attribute], asn1.Implicit(0)]


@asn1.sequence
class _Extension:
    type: x509.ObjectIdentifier
    value: bytes


@asn1.sequence
class _Extensions:
    subject_alternative_name: _Extension


def build_request_info(subject: x509.Name, public_key: PublicKey, names: Sequence[x509.GeneralName]) -> bytes:
    """Return the DER CertificationRequestInfo that the private key is to sign; `names` are asked for as SAN."""
    attributes = []
    if names:
        extension = _Extension(
            type=ExtensionOID.SUBJECT_ALTERNATIVE_NAME, value=x509.SubjectAlternativeName(names).public_bytes()
        )
        wanted = asn1.encode_der(_Extensions(subject_alternative_name=extension))
        attributes.append(_Attribute(type=_EXTENSION_REQUEST, values=asn1.SetOf([asn1.decode_der(asn1.TLV, wanted)])))
    return asn1.encode_der(
        _RequestInfo(
            version=0,
            subject=asn1.decode_der(asn1.TLV, subject.public_bytes()),
            public_key=asn1.decode_der(
                asn1.TLV, public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            ),
            attributes=asn1.SetOf(attributes),
        )
    )
