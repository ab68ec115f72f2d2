"""What a token's refusals mean: all may pass, so each is UNAVAILABLE, with what a person can do about it."""

from typing import Final

import pkcs11
from pkcs11 import PKCS11Error

from troth.errors import Fault, Kind
from troth.keys.pkcs11.uri import TokenURI

RETRY_AFTER_S: Final = 5.0

PIN_REFUSED: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinExpired,
    pkcs11.PinLocked,
)
"""Trying again with the same PIN would lock the token."""
_GONE: Final = (
    pkcs11.NoSuchToken,
    pkcs11.TokenNotPresent,
    pkcs11.TokenNotRecognised,
    pkcs11.SlotIDInvalid,
    pkcs11.DeviceRemoved,
)


class PinRefused(Exception):
    """The PIN was refused before, and nobody has given it anew."""


def fault_of(error: Exception, uri: TokenURI) -> Fault:
    """Return what an error of the module means for whoever wanted the key."""
    what, hint = _words(error)
    return unavailable(f"{what} ({uri})", hint, detail=f"{type(error).__name__}: {error}")


def unavailable(message: str, hint: str, *, detail: str | None = None) -> Fault:
    """Return the fault of a key that cannot be reached now."""
    return Fault(Kind.UNAVAILABLE, message, hint=hint, detail=detail, retry_after=RETRY_AFTER_S)


def _words(error: Exception) -> tuple[str, str]:
    match error:
        case PinRefused():
            return (
                "the token has refused this PIN, which is not tried again",
                "write the right PIN to [keys] pin_file; a changed file is tried once",
            )
        case pkcs11.PinLocked():
            hint = "unlock it as security officer, then write the PIN to [keys] pin_file anew"
            return "the token's PIN is locked", hint
        case _ if isinstance(error, PIN_REFUSED):
            return "the token refuses the PIN", "write the right PIN to [keys] pin_file; a changed file is tried once"
        case _ if isinstance(error, _GONE):
            return "the token is not there", "plug it in, or correct the key's URI; troth tries again by itself"
        case pkcs11.NoSuchKey():
            return "the token has no such key", "is it the right token? pkcs11-tool --list-objects shows what is in it"
        case pkcs11.MultipleObjectsReturned():
            return "the token has several such keys", "say which with id=... in the key's URI"
        case _ if type(error) is PKCS11Error:
            return "the PKCS#11 module cannot be loaded", "correct [keys] module, or install the token's driver"
        case _:
            return "the token does not work", "look at the token and its driver; troth tries again by itself"
