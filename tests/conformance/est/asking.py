"""Certificate signing requests as a client may send them: honest ones, and such as no server may grant."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.name import _ASN1Type
from tests.conformance.est.wire import Identity

REQUEST_TYPE: Final = "application/pkcs10"
Key = ec.EllipticCurvePrivateKey
Spoil = Callable[[bytes], bytes]
"""Makes a body of a request in DER."""
DECRYPT_KEY_ID: Final = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.54")
"""AsymmetricDecryptKeyIdentifier (RFC 7030 section 4.4.1.2)."""
_DAY: Final = timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request(
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    *,
    dns_names: Sequence[str] = (),
    ca: bool = False,
    to_own_key: bool = False,
    link: bytes | None = None,
) -> bytes:
    """Return a CSR in DER.

    `ca` asks for a CA's basic constraints and key usage; `to_own_key` to encrypt what the server makes to this key.
    `link` is the binding of the connection that the request is for (RFC 7030 section 3.5).
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in dns_names]), False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(signing_usage(), critical=True)
    if to_own_key:
        # `cryptography` makes strings of text of what it is not told to make octets.
        builder = builder.add_attribute(DECRYPT_KEY_ID, key_id(key.public_key()), _tag=_ASN1Type.OctetString)
    if link is not None:
        password = x509.oid.AttributeOID.CHALLENGE_PASSWORD
        builder = builder.add_attribute(password, base64.b64encode(link), _tag=_ASN1Type.PrintableString)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def key_id(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a subject key identifier (RFC 5280 section 4.2.1.2, the first method)."""
    return x509.SubjectKeyIdentifier.from_public_key(public_key).digest


def signing_usage() -> x509.KeyUsage:
    """Return the key usage of a CA."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def badly_signed(der: bytes) -> bytes:
    """Return the same CSR with a signature that its key has not made; its form is right."""
    return der[:-1] + bytes([der[-1] ^ 1])


def on_one_line(der: bytes) -> bytes:
    """Return base64 as EST sends it."""
    return base64.b64encode(der)


def in_lines(der: bytes) -> bytes:
    """Return base64 in lines of 64 characters that end with CRLF, the last one too."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + 64] + b"\r\n" for at in range(0, len(text), 64))


def in_pem(der: bytes) -> bytes:
    return x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)


def spki(key: CertificateIssuerPublicKeyTypes | object) -> bytes:
    """Return the SubjectPublicKeyInfo of a public key, to compare."""
    assert hasattr(key, "public_bytes")
    return bytes(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def stranger(subject: x509.Name) -> Identity:
    """Return a certificate for this name that nobody but its own key has signed."""
    key, now = new_key(), datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY)
    builder = builder.add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    return Identity(builder.sign(key, hashes.SHA256()), key)


def dns_names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names among the alternative names of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)
