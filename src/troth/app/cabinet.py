"""Where the keys of our own CAs are kept: files below the home. A `troth.authority.hierarchy.KeyCabinet`."""

from dataclasses import dataclass, field
from pathlib import Path

from troth.errors import Fault, Kind
from troth.keys.file import FileKey, generate, read_key, write_key
from troth.x509.algorithms import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class FileCabinet:
    """Keys in files below `folder`, 0600, encrypted when there is a passphrase."""

    folder: Path
    passphrase: bytes | None = field(repr=False)

    def make(self, name: str, algorithm: KeyAlgorithm) -> FileKey:
        """Return the key kept under `name`, made now if there is none. Raises `Fault` as `write_key` does."""
        path = self.folder / name
        if path.exists():
            return self.open(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = generate(algorithm)
        write_key(path, key, self.passphrase)
        return key

    def keep(self, name: str, key: FileKey) -> None:
        """Keep a key that was made elsewhere under `name`; the same key again changes nothing.

        Raises `Fault`: conflict when there is another of this name, and as `write_key` does.
        """
        path = self.folder / name
        if path.exists() and self.open(name).public_key == key.public_key:
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_key(path, key, self.passphrase)

    def open(self, name: str) -> FileKey:
        """Return the key kept under `name`. Raises `Fault`: not found, bad key (a passphrase that is not its own)."""
        path = self.folder / name
        if not path.exists():
            raise Fault(
                Kind.NOT_FOUND, f"the key {name} is not in this home", hint=f"bring it back to {path} and try again"
            )
        return read_key(path, self.passphrase)
