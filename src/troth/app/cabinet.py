"""Where the keys of our own CAs are kept: files below the home, or tokens. A `troth.authority.ceremony.KeyCabinet`.

A key's name says which: a path below the home, or a ``pkcs11:`` URI (RFC 7512).
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from troth.app.home import Home
from troth.app.settings import Settings
from troth.errors import Fault, Kind
from troth.keys.file import FileKey, generate, read_key, write_key
from troth.keys.pkcs11.pin import GivenPin, PinFile
from troth.keys.pkcs11.uri import is_token_uri, parse_token_uri
from troth.keys.signing import SigningKey
from troth.x509.algorithms import KeyAlgorithm, PublicKey

if TYPE_CHECKING:
    from troth.keys.pkcs11.token import Tokens


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """How this machine reaches its tokens: settings of the machine, never of the database."""

    module: Path
    pin_file: Path
    pin: str | None = field(default=None, repr=False)
    """As a person has typed it; None: it is in the file."""


@dataclass(frozen=True, slots=True)
class FileCabinet:
    """Keys in files below `folder`, 0600, encrypted when there is a passphrase; those with a URI, in tokens."""

    folder: Path
    passphrase: bytes | None = field(repr=False)
    access: TokenAccess | None = None

    def make(self, name: str, algorithm: KeyAlgorithm) -> SigningKey:
        """Return the key kept under `name`, made now if there is none. Raises `Fault` as `write_key` and tokens do."""
        if is_token_uri(name):
            return self._tokens().make(parse_token_uri(name), algorithm)
        path = self.folder / name
        if path.exists():
            return self.open(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = generate(algorithm)
        write_key(path, key, self.passphrase)
        return key

    def keep(self, name: str, key: FileKey) -> None:
        """Keep a key that was made elsewhere under `name`; the same key again changes nothing.

        Raises `Fault`: conflict when there is another of this name, unsupported for a token, and as `write_key` does.
        """
        if is_token_uri(name):
            hint = "make the key in the token, or put it there with the token's own tools"
            raise Fault(Kind.UNSUPPORTED, "a key is not carried into a token", hint=hint)
        path = self.folder / name
        if path.exists() and self.open(name).public_key == key.public_key:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_key(path, key, self.passphrase)

    def open(self, name: str, public_key: PublicKey | None = None) -> SigningKey:
        """Return the key kept under `name`; where its public half is given, a token is asked only when it is to sign.

        Raises `Fault`: not found, bad key (a passphrase that is not its own), unavailable (a token), misconfigured.
        """
        if is_token_uri(name):
            uri = parse_token_uri(name)
            return self._tokens().open(uri) if public_key is None else self._tokens().expect(uri, public_key)
        path = self.folder / name
        if not path.exists():
            raise Fault(
                Kind.NOT_FOUND, f"the key {name} is not in this home", hint=f"bring it back to {path} and try again"
            )
        return read_key(path, self.passphrase)

    def _tokens(self) -> "Tokens":
        if self.access is None:
            hint = "set [keys] module and pin_file in troth.toml"
            raise Fault(Kind.MISCONFIGURED, "a key is in a token, and this home has no PKCS#11 module", hint=hint)
        return _open_tokens(self.access)


def home_cabinet(home: Home, settings: Settings, passphrase: bytes | None, pin: str | None = None) -> FileCabinet:
    """Return the cabinet of a home as its settings say; `pin` is the tokens', where no file has it."""
    keys = settings.keys
    access = TokenAccess(Path(keys.module), home.path / keys.pin_file, pin) if keys.module else None
    return FileCabinet(home.path, passphrase, access)


def lacks_pin(home: Home, settings: Settings) -> bool:
    """Say whether there may be keys in tokens, and no file has their PIN."""
    return bool(settings.keys.module) and not (home.path / settings.keys.pin_file).exists()


@cache
def _open_tokens(access: TokenAccess) -> "Tokens":
    # One for the process: a module has one state, whoever asks, and one thread that calls it.
    try:
        from troth.keys.pkcs11.token import Tokens
    except ModuleNotFoundError as error:
        hint = "pip install 'troth[pkcs11]'"
        raise Fault(Kind.MISCONFIGURED, f"keys in tokens need {error.name}", hint=hint) from error
    return Tokens(access.module, PinFile(access.pin_file) if access.pin is None else GivenPin(access.pin))
