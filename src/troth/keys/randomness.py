"""All randomness of the product, by what it is for. The system's generator, and no other."""

import base64
import secrets
from typing import Final

from troth.x509.serials import RANDOM_OCTETS, make_serial

_TOKEN_BYTES: Final = 16
_ID_BYTES: Final = 16


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes."""
    return secrets.token_bytes(count)


def random_below(bound: int) -> int:
    """Return a whole number from 0 up to but without `bound`, each as likely as the others."""
    return secrets.randbelow(bound)


def random_serial(shard: int = 0) -> int:
    """Return a serial number for a certificate of this CRL shard: 16 octets in DER, 104 of the bits random, positive.

    RFC 5280, 4.1.2.2 allows 20 octets; 104 bits are never met twice, and each octet is in every certificate.
    """
    return make_serial(shard, random_bytes(RANDOM_OCTETS))


def random_token() -> str:
    """Return a secret to be handed over: 128 random bits as 22 characters of url-safe base64."""
    return base64.urlsafe_b64encode(random_bytes(_TOKEN_BYTES)).rstrip(b"=").decode()


def random_id() -> str:
    """Return a name for something that has none: 128 random bits as 32 hex digits. Not a secret."""
    return random_bytes(_ID_BYTES).hex()
