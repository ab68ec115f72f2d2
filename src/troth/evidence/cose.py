"""COSE_Sign1 in the one form that a reading has: deterministic CBOR, four members, no unprotected header.

RFC 9052, sections 3, 4.2 and 4.4; RFC 8949, section 4.2.1; signatures by RFC 9053, section 2. There is no general
reader of CBOR here: whatever is not the next thing expected is refused where it stands, so nothing can be said twice,
in two spellings, or behind the end. Knows no header parameter.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.keys.signing import SigningKey
from troth.x509.algorithms import ECDSA, KeyAlgorithm, PublicKey, algorithm_of

UNSIGNED, BYTES, TEXT = 0, 2, 3
"""Major types (RFC 8949, section 3.1)."""
_SIZES: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_DIRECT: Final = 24

MARK: Final = bytes.fromhex("d284")
"""How every COSE_Sign1 begins that is tagged: tag 18, an array of four."""
_NO_HEADER: Final = b"\xa0"
_CONTEXT: Final = b"\x84\x6aSignature1"

ES256, ES384, EDDSA = -7, -35, -8
_OF_KEY: Final = {KeyAlgorithm.P256: ES256, KeyAlgorithm.P384: ES384, KeyAlgorithm.ED25519: EDDSA}
_COORDINATE_BYTES: Final = {ES256: 32, ES384: 48}
_SIGNATURE_BYTES: Final = {ES256: 64, ES384: 96, EDDSA: 64}


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1, nothing in it verified."""

    protected: bytes
    """The protected header: the bytes of its map."""
    payload: bytes
    signature: bytes
    signed_protected: bytes
    """The protected header as it stands in what is signed: a byte string with its head."""
    signed_payload: bytes


def algorithm_for(key: PublicKey) -> int:
    """Return the COSE algorithm of a key. Raises `Fault` (bad key) for one that signs no readings."""
    algorithm = _OF_KEY.get(algorithm_of(key))
    if algorithm is None:
        hint = "readings are signed with P-256, P-384 or Ed25519"
        raise Fault(Kind.BAD_KEY, f"a key of {algorithm_of(key)} signs no readings", hint=hint)
    return algorithm


def sign1(protected: bytes, payload: bytes, external: bytes, key: SigningKey) -> bytes:
    """Return the tagged COSE_Sign1 of `payload`; `external` is signed and not sent.

    Raises `Fault`: bad key, or the key's own.
    """
    algorithm = algorithm_for(key.public_key)
    header, body = byte_string(protected), byte_string(payload)
    signature = key.sign(_signed(header, external, body))
    if algorithm in _COORDINATE_BYTES:
        size = _COORDINATE_BYTES[algorithm]
        r, s = decode_dss_signature(signature)
        signature = r.to_bytes(size) + s.to_bytes(size)
    return MARK + header + _NO_HEADER + body + byte_string(signature)


def parse_sign1(data: bytes, protected_bytes_max: int) -> Sign1:
    """Return the parts of a tagged COSE_Sign1 and nothing behind it. The caller bounds `data`.

    Raises `PeerFault`: malformed, unsupported; too large for a longer protected header.
    """
    if not data.startswith(MARK):
        raise PeerFault(Kind.UNSUPPORTED, "it is no tagged COSE_Sign1")
    begin = len(MARK)
    size, at = head(data, begin, BYTES)
    if size > protected_bytes_max:
        raise PeerFault(Kind.TOO_LARGE, f"the protected header has more than {protected_bytes_max} bytes")
    protected, empty = slice_of(data, at, size)
    if data[empty : empty + 1] != _NO_HEADER:
        raise malformed("there are header parameters that are not protected, or none are said to be")
    size, at = head(data, empty + 1, BYTES)
    payload, end = slice_of(data, at, size)
    size, at = head(data, end, BYTES)
    signature, last = slice_of(data, at, size)
    if last != len(data):
        raise malformed("there is more behind its end")
    return Sign1(protected, payload, signature, data[begin:empty], data[empty + 1 : end])


def is_signed(sign: Sign1, algorithm: int, external: bytes, key: PublicKey) -> bool:
    """Say whether the private half of `key` has signed it, by `algorithm` and no other."""
    kind = algorithm_of(key)
    if _OF_KEY.get(kind) != algorithm or len(sign.signature) != _SIGNATURE_BYTES[algorithm]:
        return False
    data = _signed(sign.signed_protected, external, sign.signed_payload)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            size = _COORDINATE_BYTES[algorithm]
            r, s = int.from_bytes(sign.signature[:size]), int.from_bytes(sign.signature[size:])
            key.verify(encode_dss_signature(r, s), data, ECDSA[kind])
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(sign.signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def head(data: bytes, at: int, major: int) -> tuple[int, int]:
    """Return the argument of the item at `at`, which is of this major type, and where it ends.

    Raises `PeerFault` (malformed): for another type, for an argument longer than it need be, at the end of the data.
    """
    if at >= len(data):
        raise _cut()
    first = data[at]
    at += 1
    low = first & 0x1F
    if first >> 5 != major:
        raise malformed("something else stands where it would")
    if low < _DIRECT:
        return low, at
    size = _SIZES.get(low)
    if size is None:
        raise malformed("a length is indefinite")
    if at + size > len(data):
        raise _cut()
    argument = int.from_bytes(data[at : at + size])
    # The shortest spelling is the only one (section 4.2.1).
    if argument < (_DIRECT if size == 1 else 1 << (4 * size)):
        raise malformed("a number is not in its shortest form")
    return argument, at + size


def slice_of(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return `size` bytes from `at`, and where they end. Raises `PeerFault` (malformed) when they are not there."""
    if size > len(data) - at:
        raise _cut()
    return data[at : at + size], at + size


def item(major: int, argument: int) -> bytes:
    """Return the head of an item in its shortest form. Raises `Bug` for a number beyond 64 bits."""
    if argument < _DIRECT:
        return bytes((major << 5 | argument,))
    for low, size in _SIZES.items():
        if argument < 1 << 8 * size:
            return bytes((major << 5 | low,)) + argument.to_bytes(size)
    raise Bug("CBOR has whole numbers up to 64 bits")


def byte_string(data: bytes) -> bytes:
    """Return a byte string."""
    return item(BYTES, len(data)) + data


def malformed(reason: str) -> PeerFault:
    """Return the fault of bytes that begin as a reading does and are none."""
    return PeerFault(Kind.MALFORMED, f"the reading cannot be read: {reason}")


def _signed(protected: bytes, external: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure (RFC 9052, section 4.4)."""
    return _CONTEXT + protected + byte_string(external) + payload


def _cut() -> PeerFault:
    return malformed("it ends too early")
