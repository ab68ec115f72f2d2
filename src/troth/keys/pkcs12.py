"""A key and its certificates out of a PKCS#12 file, as other CAs hand them over. Only read, never written. RFC 7292.

A plain file with another CA's key is opened once, by an operator, and what is in it is kept as `troth.keys.file` does.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from troth.errors import Kind, PeerFault
from troth.keys.file import FileKey
from troth.limits import CHAIN_CERTIFICATES_MAX, KEY_FILE_BYTES_MAX
from troth.x509.algorithms import PrivateKey, algorithm_of
from troth.x509.certificates import parse_certificate


def is_pkcs12(data: bytes) -> bool:
    """Say whether `data` is to be read as PKCS#12: DER that begins with version 3 (RFC 7292, 4)."""
    return data[:1] == b"\x30" and b"\x02\x01\x03" in data[2:9]


def parse_pkcs12(data: bytes, passphrase: bytes | None) -> tuple[FileKey, tuple[x509.Certificate, ...]]:
    """Return the key, and the certificates with the key's own first; the others as they come.

    Raises `PeerFault`: too large, bad key (the passphrase does not open it; a key that is not taken), malformed (no
    PKCS#12, or not one key with its certificate).
    """
    if len(data) > KEY_FILE_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the file has more than {KEY_FILE_BYTES_MAX} bytes")
    try:
        key, own, others = pkcs12.load_key_and_certificates(data, passphrase)
    except (ValueError, TypeError) as error:
        raise PeerFault(
            Kind.BAD_KEY,
            "the PKCS#12 file cannot be opened with this passphrase",
            detail=str(error),
            hint="give the passphrase that it was exported with: --import-passphrase-file FILE",
        ) from error
    except UnsupportedAlgorithm as error:
        raise PeerFault(
            Kind.UNSUPPORTED,
            "the PKCS#12 file is encrypted in a way that is not read here",
            detail=str(error),
            hint="convert it: openssl pkcs12 -in OLD -nodes | openssl pkcs12 -export -out NEW",
        ) from error
    if key is None or own is None:
        raise PeerFault(Kind.MALFORMED, "the PKCS#12 file does not hold a key and its certificate")
    if len(others) >= CHAIN_CERTIFICATES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the file has more than {CHAIN_CERTIFICATES_MAX} certificates")
    algorithm_of(key.public_key())
    assert isinstance(key, PrivateKey)  # algorithm_of has just said so
    certificates = [parse_certificate(each.public_bytes(Encoding.DER)) for each in (own, *others)]
    return FileKey(key), tuple(certificates)
