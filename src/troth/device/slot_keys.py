"""The private key of a slot: made, opened, never shown. The one place of a device that knows where its keys live.

In a file, or in a token: then the slot holds the key's URI, with the module and the file of the PIN in it (RFC 7512,
2.4), and the key is made inside the token and never leaves it.
"""

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from troth.device.slots import Slot
from troth.errors import Fault, Kind
from troth.keys.file import generate, read_key, write_key
from troth.keys.files import read_bounded, write_private
from troth.keys.pkcs11.uri import TokenURI, parse_token_uri
from troth.keys.randomness import random_id
from troth.keys.signing import SigningKey
from troth.keys.turns import turn_of, turn_on_loop
from troth.limits import DEVICE_SETTINGS_BYTES_MAX, PKCS11_PIN_BYTES_MAX
from troth.tls.token_keys import TokenKeyAccess
from troth.x509.algorithms import KeyAlgorithm

if TYPE_CHECKING:
    from troth.keys.pkcs11.token import Tokens

_MODULE: Final = "module-path"
_PIN: Final = "pin-source"
_FILE: Final = "file:"


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A token in which keys are made."""

    module: Path
    """Its PKCS#11 module."""
    pin_file: Path
    """The file with the user's PIN."""
    label: str
    """What the token is called."""


def make_key(slot: Slot, algorithm: KeyAlgorithm, place: TokenPlace | None = None) -> SigningKey:
    """Make a new key in a slot that has none, durably, and return it; in a token where one is given.

    Raises `Fault`: as `write_key` does; unavailable for a token that does not work.
    """
    if place is None:
        key = generate(algorithm)
        write_key(slot.key_file, key, None)
        return key
    uri = TokenURI(token=place.label, label=f"troth-{random_id()}")
    # Written first: a power cut leaves a name without a key, and never a key that nobody knows of.
    write_private(slot.uri_file, f"{_render(uri, place)}\n".encode())
    return _tokens(place.module, place.pin_file).make(uri, algorithm)


def open_key(slot: Slot) -> SigningKey:
    """Return the key of a slot. Raises `Fault`: not found without one, and as `read_key` and `Tokens.open` do."""
    found = _token_key(slot.uri_file)
    if found is None:
        return read_key(slot.key_file, None)
    uri, place = found
    return _tokens(place.module, place.pin_file).open(uri)


def place_of(slot: Slot) -> TokenPlace | None:
    """Return the token that has the slot's key; None for a key in a file. Raises `Fault` (malformed)."""
    found = _token_key(slot.uri_file)
    return found[1] if found is not None else None


def find_key(slot: Slot) -> str:
    """Return where the slot's key is, as people read it: a file's path or a key's URI. Raises `Fault` (malformed)."""
    found = _token_key(slot.uri_file)
    return str(found[0]) if found is not None else str(slot.key_file)


def discard_key(slot: Slot) -> None:
    """Have a slot's key destroyed where it is in a token; a file goes with the slot. Raises `Fault` (unavailable)."""
    found = _token_key(slot.uri_file)
    if found is not None:
        uri, place = found
        _tokens(place.module, place.pin_file).destroy(uri)


def token_access(slot_folder: Path) -> TokenKeyAccess | None:
    """Return how TLS gets at the key of the slot in this folder; None for a key in a file. Raises `Fault`."""
    found = _token_key(Slot(slot_folder).uri_file)
    if found is None:
        return None
    uri, place = found
    # OpenSSL's engine takes a module that is in use already, and PKCS#11's own users do not: they come first.
    _tokens(place.module, place.pin_file).open(uri)
    pin = read_bounded(place.pin_file, PKCS11_PIN_BYTES_MAX).decode("utf-8", "replace").strip()
    return TokenKeyAccess(place.module, str(uri), pin)


def handshake_turn(slot_folder: Path) -> AbstractContextManager[object]:
    """Return what is held while TLS shakes hands by the key of the slot in this folder: nobody signs meanwhile.

    Not for two ends in one process, which would wait for each other.
    """
    module = _module(slot_folder)
    return turn_of(module) if module is not None else nullcontext()


def handshake_turn_on_loop(slot_folder: Path) -> AbstractAsyncContextManager[None]:
    """Return the same for an event loop."""
    module = _module(slot_folder)
    return turn_on_loop(module) if module is not None else nullcontext()


def _module(slot_folder: Path) -> Path | None:
    found = _token_key(Slot(slot_folder).uri_file)
    return None if found is None else found[1].module


@cache
def _tokens(module: Path, pin_file: Path) -> "Tokens":
    """Return the one way of this process into a module: several would finalize it under each other."""
    try:
        from troth.keys.pkcs11.pin import PinFile
        from troth.keys.pkcs11.token import Tokens
    except ImportError as error:
        hint = "pip install troth[pkcs11]"
        raise Fault(Kind.MISCONFIGURED, "keys in tokens need python-pkcs11", hint=hint, detail=str(error)) from error
    return Tokens(module, PinFile(pin_file))


def _render(uri: TokenURI, place: TokenPlace) -> str:
    asked = urlencode({_MODULE: str(place.module), _PIN: _FILE + str(place.pin_file)}, safe="/:", quote_via=quote)
    return f"{uri}?{asked}"


def _token_key(file: Path) -> tuple[TokenURI, TokenPlace] | None:
    if not file.exists():
        return None
    text = read_bounded(file, DEVICE_SETTINGS_BYTES_MAX).decode("ascii", "replace").strip()
    path, _, query = text.partition("?")
    asked = dict(parse_qsl(query))
    uri = parse_token_uri(path)
    module, pin = asked.get(_MODULE, ""), asked.get(_PIN, "")
    if not module or not pin.startswith(_FILE) or uri.token is None:
        hint = f"write it as pkcs11:token=LABEL;object=LABEL?{_MODULE}=/path/to/module.so&{_PIN}={_FILE}/path/to/pin"
        raise Fault(Kind.MALFORMED, f"{file} does not say which module and PIN the key needs", hint=hint)
    return uri, TokenPlace(Path(module), Path(pin.removeprefix(_FILE)), uri.token)
