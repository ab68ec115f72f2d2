"""A private key in a file: made, written, read, used. PKCS#8 (RFC 5958), encrypted as `troth.keys.encryption` says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from troth.errors import Fault, Kind
from troth.keys.encryption import check_cost, encrypt
from troth.keys.files import read_bounded, write_private
from troth.limits import KEY_FILE_BYTES_MAX
from troth.x509.algorithms import (
    CURVES,
    ECDSA,
    MLDSA,
    RSA_BITS,
    RSA_EXPONENT,
    KeyAlgorithm,
    MLDSAPrivateKey,
    PrivateKey,
    PublicKey,
    ServablePrivateKey,
    algorithm_of,
    signature_hash,
)
from troth.x509.pem import parse_pem, render_pem

_PLAIN: Final = "PRIVATE KEY"
_ENCRYPTED: Final = "ENCRYPTED PRIVATE KEY"
# What old tools write: SEC 1 and PKCS#1, where encryption is a single round of MD5.
_TRADITIONAL: Final = (b"BEGIN EC PRIVATE KEY", b"BEGIN RSA PRIVATE KEY", b"BEGIN DSA PRIVATE KEY")


@dataclass(frozen=True, slots=True)
class FileKey:
    """A key whose private half is in this process. A `troth.keys.signing.SigningKey`."""

    private_key: PrivateKey
    algorithm: KeyAlgorithm = field(init=False, repr=False, compare=False)
    """The key's algorithm."""

    def __post_init__(self) -> None:
        """Look once what kind of key it is: to make the public half takes a third as long as to sign."""
        object.__setattr__(self, "algorithm", algorithm_of(self.private_key.public_key()))

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self.private_key.public_key()

    @property
    def servable_key(self) -> ServablePrivateKey:
        """The private half, for a TLS server, which signs by itself. Raises `Fault` (unsupported) for ML-DSA."""
        if isinstance(self.private_key, MLDSAPrivateKey):
            raise Fault(
                Kind.UNSUPPORTED, f"our servers cannot show a certificate of an {self.algorithm} key", hint="use P-256"
            )
        return self.private_key

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, by the one scheme of the algorithm."""
        digest = signature_hash(self.algorithm)
        match self.private_key:
            case ed25519.Ed25519PrivateKey():
                return self.private_key.sign(data)
            case mldsa.MLDSA44PrivateKey() | mldsa.MLDSA65PrivateKey() | mldsa.MLDSA87PrivateKey():
                return self.private_key.sign(data)
            case ec.EllipticCurvePrivateKey():
                return self.private_key.sign(data, ECDSA[self.algorithm])
            case rsa.RSAPrivateKey():
                assert digest is not None  # so has RSA
                return self.private_key.sign(data, padding.PKCS1v15(), digest)


def generate(algorithm: KeyAlgorithm) -> FileKey:
    """Return a new key. RSA takes the better part of a second; the others, microseconds."""
    if algorithm in CURVES:
        return FileKey(ec.generate_private_key(CURVES[algorithm]))
    if algorithm in RSA_BITS:
        return FileKey(rsa.generate_private_key(RSA_EXPONENT, RSA_BITS[algorithm]))
    if algorithm in MLDSA:
        return FileKey(MLDSA[algorithm].generate())
    return FileKey(ed25519.Ed25519PrivateKey.generate())


def write_key(path: Path, key: FileKey, passphrase: bytes | None, *, overwrite: bool = False) -> None:
    """Write a key to `path`, readable by its owner only from the first byte; encrypted when there is a passphrase.

    Raises `Fault`: conflict (the file exists and `overwrite` is not set), bad key (an empty passphrase),
    misconfigured or unavailable (it cannot be written).
    """
    write_private(path, render_key(key, passphrase), overwrite=overwrite)


def read_key(path: Path, passphrase: bytes | None) -> FileKey:
    """Read a key from a file. Raises `Fault`: not found, misconfigured (unreadable file), and as `parse_key`."""
    return parse_key(read_bounded(path, KEY_FILE_BYTES_MAX), passphrase, str(path))


def render_key(key: FileKey, passphrase: bytes | None) -> bytes:
    """Return a key as PEM, encrypted when there is a passphrase. Raises `Fault` (bad key) when that is empty."""
    der = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if passphrase is None:
        return render_pem(_PLAIN, der)
    if not passphrase:
        raise Fault(Kind.BAD_KEY, "an empty passphrase protects nothing")
    return render_pem(_ENCRYPTED, encrypt(der, passphrase))


def parse_key(data: bytes, passphrase: bytes | None, where: str = "the key") -> FileKey:
    """Read a key from PEM; the passphrase is for an encrypted one and is ignored by another.

    `where` names the key in messages. Raises `Fault`: bad key (a passphrase is missing or wrong, the algorithm is not
    listed), malformed (no single PEM private key), unsupported (not PKCS#8, or an encryption that is weak, unknown or
    costs more to open than `troth.limits` allows).
    """
    if any(mark in data for mark in _TRADITIONAL):
        raise Fault(
            Kind.UNSUPPORTED,
            f"{where} is not in PKCS#8",
            hint="convert it: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
        )
    is_encrypted = f"BEGIN {_ENCRYPTED}".encode() in data
    der = parse_pem(data, _ENCRYPTED if is_encrypted else _PLAIN, blocks_max=1)[0]
    try:
        private_key = _open(der, passphrase, where) if is_encrypted else load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Fault(Kind.MALFORMED, f"{where} is not a private key that can be read", detail=str(error)) from error
    algorithm_of(private_key.public_key())
    assert isinstance(private_key, PrivateKey)  # algorithm_of has just said so
    return FileKey(private_key)


def _open(der: bytes, passphrase: bytes | None, where: str) -> PrivateKeyTypes:
    check_cost(der, where)
    if not passphrase:
        raise Fault(Kind.BAD_KEY, f"{where} is encrypted and there is no passphrase")
    try:
        return load_der_private_key(der, passphrase)
    except ValueError as error:
        raise Fault(Kind.BAD_KEY, f"{where} cannot be opened with this passphrase", detail=str(error)) from error
