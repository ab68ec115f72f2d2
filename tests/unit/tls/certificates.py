"""The certificates that the tests of this room need, good and bad, made on the spot."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH

Key = ec.EllipticCurvePrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True)
class Held:
    """A certificate, the key that goes with it, and the certificates above it that its holder sends."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()
    key_file: bytes | None = None
    """What its holder has as key file instead of `key`."""

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.above)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write chain and key into `folder`; return both paths."""
        folder.mkdir(exist_ok=True)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in self.chain))
        key.write_bytes(self.key_file or key_pem(self.key))
        return chain, key


def key_pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def authority(common_name: str, issuer: Held | None = None) -> Held:
    """A CA: a root, or one under `issuer`."""
    key = new_key()
    certificate = _certificate(
        name(common_name),
        key,
        issuer,
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_usage(ca=True), True),
    )
    return Held(certificate, key)


def leaf(
    common_name: str,
    issuer: Held | None,
    purpose: x509.ObjectIdentifier = CLIENT,
    *,
    key: Key | None = None,
    not_before: datetime = NOW - DAY,
    not_after: datetime = NOW + DAY,
    names: Sequence[str] = (),
    names_issuer_key: bool = True,
    named_issuer: Held | None = None,
    above: tuple[x509.Certificate, ...] = (),
) -> Held:
    """A certificate of an end; without an issuer it is signed by itself.

    It may say, by name and key id, that `named_issuer` has issued it.
    """
    key = key or new_key()
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(ca=False), True),
        (x509.ExtendedKeyUsage([purpose]), False),
    ]
    if names:
        extensions.append((x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False))
    certificate = _certificate(
        name(common_name),
        key,
        issuer,
        *extensions,
        not_before=not_before,
        not_after=not_after,
        names_issuer_key=names_issuer_key,
        named_issuer=named_issuer or issuer,
    )
    return Held(certificate, key, above)


def garbled(held: Held, what: bytes, by: bytes) -> Held:
    """`held`'s certificate with some of its bytes replaced by as many others."""
    der = held.certificate.public_bytes(Encoding.DER)
    assert der.count(what) == 1
    assert len(what) == len(by)
    return Held(x509.load_der_x509_certificate(der.replace(what, by)), held.key, held.above)


def stolen(victim: Held) -> Held:
    """`victim`'s certificate in the hands of one who has another key.

    TLS libraries compare only the public half that a key file carries; the thief puts the victim's there.
    """
    thief = new_key()
    key_file = thief.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    forged = key_file.replace(_point(thief), _point(victim.key))
    assert forged != key_file
    body = base64.encodebytes(forged)
    pem = b"-----BEGIN EC PRIVATE KEY-----\n" + body + b"-----END EC PRIVATE KEY-----\n"
    return Held(victim.certificate, victim.key, victim.above, key_file=pem)


def _point(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def of_version_five(held: Held, issuer: Held) -> bytes:
    """Return the DER of `held`'s certificate, signed anew by `issuer` as of a version that X.509 has not.

    OpenSSL lets it pass; `cryptography` neither reads nor makes it, so that this is put together by hand.
    """
    body = held.certificate.tbs_certificate_bytes.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1)
    signature = b"\x00" + issuer.key.sign(body, ec.ECDSA(hashes.SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    content = body + ecdsa_with_sha256 + b"\x03" + bytes([len(signature)]) + signature
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def _certificate(
    subject: x509.Name,
    key: Key,
    issuer: Held | None,
    *extensions: tuple[x509.ExtensionType, bool],
    not_before: datetime = NOW - DAY,
    not_after: datetime = NOW + DAY,
    names_issuer_key: bool = True,
    named_issuer: Held | None = None,
) -> x509.Certificate:
    signer = issuer.key if issuer else key
    named_issuer = named_issuer or issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(named_issuer.certificate.subject if named_issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if named_issuer and names_issuer_key:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(named_issuer.key.public_key())
        builder = builder.add_extension(above, critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
