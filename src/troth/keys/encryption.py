"""A key encrypted under a passphrase: PKCS#8 with PBES2 (RFC 8018), scrypt (RFC 7914, 7) and AES-256-CBC.

scrypt needs memory, which is what guessing on graphics cards lacks. OpenSSL opens such a key only while scrypt takes
less than 32 MiB, so the memory stays at 16 MiB and the work is repeated (`_PARALLELIZATION`) to the strength that
OWASP's password storage cheat sheet gives for that size. Opening one takes about a quarter of a second.
"""

from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

from troth.errors import Fault, Kind
from troth.keys.randomness import random_bytes
from troth.limits import KEY_PBKDF2_ROUNDS_MAX, KEY_SCRYPT_BYTES_MAX, KEY_SCRYPT_WORK_MAX

_COST: Final = 1 << 14
_BLOCK_SIZE: Final = 8
_PARALLELIZATION: Final = 5
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_AES_BLOCK_BYTES: Final = 16

_PBES2: Final = x509.ObjectIdentifier("1.2.840.113549.1.5.13")
_SCRYPT: Final = x509.ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_PBKDF2: Final = x509.ObjectIdentifier("1.2.840.113549.1.5.12")
_AES_256_CBC: Final = x509.ObjectIdentifier("2.16.840.1.101.3.4.1.42")


@asn1.sequence
class _Algorithm:
    type: x509.ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class _PBES2Parameters:
    derivation: _Algorithm
    encryption: _Algorithm


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int
    block_size: int
    parallelization: int
    key_length: int | None


@asn1.sequence
class _PBKDF2Parameters:
    salt: bytes
    rounds: int
    key_length: int | None
    function: _Algorithm | None


@asn1.sequence
class _EncryptedKey:
    algorithm: _Algorithm
    content: bytes


def encrypt(der: bytes, passphrase: bytes) -> bytes:
    """Return the DER EncryptedPrivateKeyInfo of a PKCS#8 key in DER. Salt and vector are new each time."""
    salt, vector = random_bytes(_SALT_BYTES), random_bytes(_AES_BLOCK_BYTES)
    derivation = _ScryptParameters(
        salt=salt, cost=_COST, block_size=_BLOCK_SIZE, parallelization=_PARALLELIZATION, key_length=None
    )
    parameters = _PBES2Parameters(
        derivation=_Algorithm(type=_SCRYPT, parameters=_tlv(derivation)),
        encryption=_Algorithm(type=_AES_256_CBC, parameters=_tlv(vector)),
    )
    key = Scrypt(salt, length=_KEY_BYTES, n=_COST, r=_BLOCK_SIZE, p=_PARALLELIZATION).derive(passphrase)
    padder = PKCS7(_AES_BLOCK_BYTES * 8).padder()
    padded = padder.update(der) + padder.finalize()
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(vector)).encryptor()
    content = encryptor.update(padded) + encryptor.finalize()
    algorithm = _Algorithm(type=_PBES2, parameters=_tlv(parameters))
    return asn1.encode_der(_EncryptedKey(algorithm=algorithm, content=content))


def check_cost(der: bytes, where: str) -> None:
    """Return if an EncryptedPrivateKeyInfo can be opened at a cost within `troth.limits`.

    The costs stand in the file, so they are looked at before they are paid. `where` names the key in messages. Raises
    `Fault`: unsupported (another encryption, or too costly), malformed.
    """
    try:
        algorithm = asn1.decode_der(_EncryptedKey, der).algorithm
        if algorithm.type != _PBES2:
            raise _unsupported(where, "an encryption other than PBES2")
        derivation = _parse(_PBES2Parameters, algorithm.parameters).derivation
        if derivation.type == _SCRYPT:
            _check_scrypt(_parse(_ScryptParameters, derivation.parameters), where)
        elif derivation.type == _PBKDF2:
            _check_pbkdf2(_parse(_PBKDF2Parameters, derivation.parameters), where)
        else:
            raise _unsupported(where, "a key derivation other than scrypt and PBKDF2")
    except ValueError as error:
        raise Fault(Kind.MALFORMED, f"{where} is not an encrypted key that can be read", detail=str(error)) from error


def _check_scrypt(parameters: _ScryptParameters, where: str) -> None:
    block_bytes = 128 * parameters.block_size
    memory = block_bytes * (parameters.cost + parameters.parallelization)
    work = parameters.cost * parameters.block_size * parameters.parallelization
    least = min(parameters.cost, parameters.block_size, parameters.parallelization)
    if least < 1 or memory > KEY_SCRYPT_BYTES_MAX or work > KEY_SCRYPT_WORK_MAX:
        raise _unsupported(where, "scrypt at a cost out of bounds")


def _check_pbkdf2(parameters: _PBKDF2Parameters, where: str) -> None:
    if not 1 <= parameters.rounds <= KEY_PBKDF2_ROUNDS_MAX:
        raise _unsupported(where, "PBKDF2 at a cost out of bounds")


_T = TypeVar("_T")


def _tlv(value: object) -> asn1.TLV:
    return asn1.decode_der(asn1.TLV, asn1.encode_der(value))


def _parse(kind: type[_T], value: asn1.TLV) -> _T:
    return asn1.decode_der(kind, asn1.encode_der(value))


def _unsupported(where: str, what: str) -> Fault:
    return Fault(
        Kind.UNSUPPORTED,
        f"{where} is encrypted with {what}",
        hint="convert it: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
    )
