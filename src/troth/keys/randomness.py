"""All randomness of the product, by what it is for. The system's generator, and no other."""

import base64
import secrets
from typing import Final

_SERIAL_BYTES: Final = 16
_TOKEN_BYTES: Final = 16
_ID_BYTES: Final = 16


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes."""
    return secrets.token_bytes(count)


def random_serial() -> int:
    """Return a serial number for a certificate: 16 octets in DER, 126 of the bits random, positive.

    RFC 5280, 4.1.2.2 allows 20 octets; 126 bits are never met twice, and each octet is in every certificate. The
    two fixed bits make it positive and always of the same length.
    """
    return (int.from_bytes(random_bytes(_SERIAL_BYTES), "big") & ~(0b11 << 126)) | (0b01 << 126)


def random_token() -> str:
    """Return a secret to be handed over: 128 random bits as 22 characters of url-safe base64."""
    return base64.urlsafe_b64encode(random_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


def random_id() -> str:
    """Return a name for something that has none: 128 random bits as 32 hex digits. Not a secret."""
    return random_bytes(_ID_BYTES).hex()
