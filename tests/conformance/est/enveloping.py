"""CMS EnvelopedData for the holder of a P-256 key: read by the suite, made by the faulty server.

Ephemeral ECDH with SHA-256, AES key wrap, AES-CBC. RFC 5652 section 6, RFC 5753 sections 3.1 and 7.
"""

import os
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.conformance.est.asking import Key
from tests.conformance.est.cms import Element, Unreadable, elements

_SEQUENCE, _SET, _OID, _OCTETS, _BITS, _INTEGER = 0x30, 0x31, 0x06, 0x04, 0x03, 0x02
_KARI, _CONTEXT_0 = 0xA1, 0xA0
_ENVELOPED: Final = bytes.fromhex("2a864886f70d010703")
_DATA: Final = bytes.fromhex("2a864886f70d010701")
_AES_256_CBC: Final = bytes.fromhex("60864801650304012a")
_AES_256_WRAP: Final = bytes.fromhex("60864801650304012d")
_ECDH_SHA256: Final = bytes.fromhex("2b8104010b01")
_EC: Final = bytes.fromhex("2a8648ce3d0201")
_WRAPS: Final = {bytes.fromhex(f"6086480165030401{end}"): size for end, size in (("05", 16), ("19", 24), ("2d", 32))}
_BLOCK: Final = 16


def open_envelope(der: bytes, key: Key) -> bytes:
    """Return what is in it, for the holder of `key`.

    Raises `Unreadable` for what is no EnvelopedData, or none for this key by the algorithms above.
    """
    kind, inner = _only(der).children()
    if kind.content != _ENVELOPED:
        raise Unreadable("the key comes in something else than CMS EnvelopedData")
    parts = inner.children()[0].children()
    recipients = next(part for part in parts if part.tag == _SET)
    hidden = parts[-1].children()
    try:
        content_key = next(_content_key(each.content, key) for each in recipients.children() if each.tag == _KARI)
        vector = hidden[1].children()[1].content
        decryptor = Cipher(algorithms.AES(content_key), modes.CBC(vector)).decryptor()
        padded = decryptor.update(hidden[2].content) + decryptor.finalize()
        unpadder = padding.PKCS7(8 * _BLOCK).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (StopIteration, ValueError, IndexError, KeyError) as error:
        raise Unreadable(f"the envelope cannot be opened with the key that it is for: {error!r}") from error


def seal(content: bytes, recipient: ec.EllipticCurvePublicKey, named: bytes) -> bytes:
    """Return EnvelopedData for the holder of `recipient`, named by its subject key identifier."""
    content_key, vector, ephemeral = os.urandom(32), os.urandom(_BLOCK), ec.generate_private_key(recipient.curve)
    wrap = _tlv(_SEQUENCE, _tlv(_OID, _AES_256_WRAP))
    wrapped = aes_key_wrap(_wrapping(ephemeral, recipient, wrap, 32), content_key)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = _tlv(0xA1, _tlv(_SEQUENCE, _tlv(_OID, _EC)), _tlv(_BITS, b"\0" + point))
    told = _tlv(
        _KARI,
        _tlv(_INTEGER, b"\3"),
        _tlv(_CONTEXT_0, originator),
        _tlv(_SEQUENCE, _tlv(_OID, _ECDH_SHA256), wrap),
        _tlv(_SEQUENCE, _tlv(_SEQUENCE, _tlv(_CONTEXT_0, _tlv(_OCTETS, named)), _tlv(_OCTETS, wrapped))),
    )
    padder = padding.PKCS7(8 * _BLOCK).padder()
    encryptor = Cipher(algorithms.AES(content_key), modes.CBC(vector)).encryptor()
    hidden = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    how = _tlv(_SEQUENCE, _tlv(_OID, _AES_256_CBC), _tlv(_OCTETS, vector))
    whole = _tlv(
        _SEQUENCE,
        _tlv(_INTEGER, b"\2"),
        _tlv(_SET, told),
        _tlv(_SEQUENCE, _tlv(_OID, _DATA), how, _tlv(0x80, hidden)),
    )
    return _tlv(_SEQUENCE, _tlv(_OID, _ENVELOPED), _tlv(_CONTEXT_0, whole))


def _content_key(recipient: bytes, key: Key) -> bytes:
    parts = list(elements(recipient))
    originator = parts[1].children()[0].children()
    how, keys = parts[-2], parts[-1]
    agreement, wrap = how.children()
    if agreement.content != _ECDH_SHA256:
        raise Unreadable("the envelope is not made by ECDH with SHA-256")
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, originator[1].content[1:])
    wrap_der = _tlv(wrap.tag, wrap.content)
    wrapping = _wrapping(key, theirs, wrap_der, _WRAPS[wrap.children()[0].content])
    try:
        return aes_key_unwrap(wrapping, keys.children()[0].children()[1].content)
    except Exception as error:
        raise Unreadable("the envelope is for another key") from error


def _wrapping(own: Key, theirs: ec.EllipticCurvePublicKey, wrap: bytes, size: int) -> bytes:
    # ECC-CMS-SharedInfo: the algorithm, and the length of the key in bits.
    shared_info = _tlv(_SEQUENCE, wrap, _tlv(0xA2, _tlv(_OCTETS, (8 * size).to_bytes(4))))
    return X963KDF(hashes.SHA256(), size, shared_info).derive(own.exchange(ec.ECDH(), theirs))


def _only(der: bytes) -> Element:
    whole = tuple(elements(der))
    if len(whole) != 1 or whole[0].tag != _SEQUENCE or len(whole[0].children()) != 2:
        raise Unreadable("the key comes in something else than CMS")
    return whole[0]


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content
