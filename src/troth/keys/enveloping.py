"""Something encrypted to the holder of a public key: CMS EnvelopedData for one RSA or EC recipient.

AES-256-CBC; its key by RSAES-OAEP with SHA-256 (RFC 8017, RFC 3560), or by ephemeral ECDH with SHA-256 and AES key
wrap (RFC 5753). Written by hand, since `cryptography` makes it for RSA alone. RFC 5652 section 6.
"""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from troth.errors import Fault, Kind
from troth.keys.randomness import random_bytes
from troth.x509.algorithms import PublicKey
from troth.x509.der import BIT_STRING, OCTET_STRING, SEQUENCE, constructed, integer, primitive, tlv

_SET: Final = 0x31
_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_ENVELOPED_DATA: Final = bytes.fromhex("06092a864886f70d010703")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")
_AES256_WRAP: Final = bytes.fromhex("300b060960864801650304012d")
_SHA256: Final = bytes.fromhex("300d06096086480165030402010500")
_RSAES_OAEP: Final = bytes.fromhex("06092a864886f70d010107")
_MGF1: Final = bytes.fromhex("06092a864886f70d010108")
_ECDH_SHA256: Final = bytes.fromhex("06062b8104010b01")
_EC_PUBLIC_KEY: Final = bytes.fromhex("300906072a8648ce3d0201")


def key_id(public_key: PublicKey) -> bytes:
    """Return by what an envelope names its recipient: the SHA-1 of the key's bits (RFC 5280, 4.2.1.2, method 1)."""
    return x509.SubjectKeyIdentifier.from_public_key(public_key).digest


def require_recipient(public_key: PublicKey) -> None:
    """Return if something can be encrypted to a key. Raises `Fault` (bad key): neither RSA nor on a NIST curve."""
    if not isinstance(public_key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        hint = "make the request with an RSA key or one on P-256 or P-384"
        raise Fault(Kind.BAD_KEY, "nothing can be encrypted to a key that can only sign", hint=hint)


def envelop(content: bytes, recipient: PublicKey, recipient_id: bytes | None = None) -> bytes:
    """Return ContentInfo in DER with `content`, for the holder of `recipient`, named `recipient_id` or by `key_id`.

    Raises `Fault` as `require_recipient` does.
    """
    require_recipient(recipient)
    key, vector = random_bytes(_KEY_BYTES), random_bytes(_BLOCK_BYTES)
    named = recipient_id or key_id(recipient)
    if isinstance(recipient, rsa.RSAPublicKey):
        told = _transported(key, recipient, named)
    else:
        assert isinstance(recipient, ec.EllipticCurvePublicKey)  # require_recipient has just said so
        told = _agreed(key, recipient, named)
    padder = padding.PKCS7(8 * _BLOCK_BYTES).padder()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(vector)).encryptor()
    hidden = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    how = tlv(SEQUENCE, _AES256_CBC, tlv(OCTET_STRING, vector))
    encrypted = tlv(SEQUENCE, _DATA, how, tlv(primitive(0), hidden))
    enveloped = tlv(SEQUENCE, integer(2), tlv(_SET, told), encrypted)
    return tlv(SEQUENCE, _ENVELOPED_DATA, tlv(constructed(0), enveloped))


def _transported(key: bytes, recipient: rsa.RSAPublicKey, named: bytes) -> bytes:
    """KeyTransRecipientInfo (6.2.1)."""
    hidden = recipient.encrypt(key, OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None))
    masks = tlv(constructed(1), tlv(SEQUENCE, _MGF1, _SHA256))
    how = tlv(SEQUENCE, _RSAES_OAEP, tlv(SEQUENCE, tlv(constructed(0), _SHA256), masks))
    return tlv(SEQUENCE, integer(2), tlv(primitive(0), named), how, tlv(OCTET_STRING, hidden))


def _agreed(key: bytes, recipient: ec.EllipticCurvePublicKey, named: bytes) -> bytes:
    """KeyAgreeRecipientInfo (6.2.2), and ECC-CMS-SharedInfo (RFC 5753, 7.2)."""
    ephemeral = ec.generate_private_key(recipient.curve)
    shared_info = tlv(
        SEQUENCE, _AES256_WRAP, tlv(constructed(2), tlv(OCTET_STRING, (8 * _KEY_BYTES).to_bytes(4, "big")))
    )
    secret = ephemeral.exchange(ec.ECDH(), recipient)
    wrapping = X963KDF(hashes.SHA256(), _KEY_BYTES, shared_info).derive(secret)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = tlv(constructed(0), tlv(constructed(1), _EC_PUBLIC_KEY, tlv(BIT_STRING, b"\x00", point)))
    how = tlv(SEQUENCE, _ECDH_SHA256, _AES256_WRAP)
    whom = tlv(constructed(0), tlv(OCTET_STRING, named))
    wrapped = tlv(SEQUENCE, whom, tlv(OCTET_STRING, aes_key_wrap(wrapping, key)))
    return tlv(constructed(1), integer(3), originator, how, tlv(SEQUENCE, wrapped))
