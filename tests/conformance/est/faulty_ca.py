"""The CA of the faulty server: a root, an issuing CA, leaves that are as they should be, or spoiled as it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.conformance.est.asking import Key, new_key, signing_usage

DAY: Final = timedelta(days=1)
CLIENT: Final = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = x509.oid.ExtendedKeyUsageOID.SERVER_AUTH
USED_SERIAL: Final = 4711


@dataclass(frozen=True)
class Spoiled:
    """What is wrong with a leaf; by default nothing."""

    starts: timedelta = -DAY
    ends: timedelta = 30 * DAY
    is_ca: bool = False
    usage: x509.ObjectIdentifier | None = CLIENT
    names_issuer: bool = True
    serial: int | None = None


HONEST: Final = Spoiled()


@dataclass(frozen=True)
class CA:
    """A CA's certificate and key."""

    certificate: x509.Certificate
    key: Key

    @classmethod
    def make(cls, name: str, above: "Self | None" = None, *, starts: timedelta = -2 * DAY, days: int = 100) -> Self:
        """Return a CA below another one, or by itself."""
        key, subject, now = new_key(), _name(name), datetime.now(UTC)
        issuer_key = above.key if above else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above.certificate.subject if above else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + starts + days * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(signing_usage(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        return cls(builder.sign(issuer_key, hashes.SHA256()), key)

    def certify(
        self,
        subject: x509.Name,
        public_key: object,
        spoiled: Spoiled = HONEST,
        alternative_names: Sequence[x509.GeneralName] = (),
    ) -> x509.Certificate:
        """Return a leaf."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)  # type: ignore[arg-type]
            .serial_number(spoiled.serial or x509.random_serial_number())
            .not_valid_before(now + spoiled.starts)
            .not_valid_after(now + spoiled.ends)
            .add_extension(x509.BasicConstraints(ca=spoiled.is_ca, path_length=None), critical=True)
        )
        if spoiled.usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([spoiled.usage]), critical=False)
        if spoiled.names_issuer:
            key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(key_id, critical=False)
        if alternative_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@dataclass(frozen=True)
class Hierarchy:
    """All CAs that the faulty server has to do with."""

    root: CA
    issuing: CA
    expired: CA
    other: CA
    """Nobody knows it."""
    server_key: Key
    server: x509.Certificate

    @classmethod
    def make(cls) -> Self:
        """Return a new one, with a certificate for a server on the loopback."""
        root = CA.make("root")
        issuing = CA.make("issuing", root)
        key = new_key()
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        server = issuing.certify(_name("localhost"), key.public_key(), Spoiled(usage=SERVER), names)
        expired = CA.make("expired", root, starts=-10 * DAY, days=5)
        return cls(root, issuing, expired, CA.make("issuing"), key, server)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
