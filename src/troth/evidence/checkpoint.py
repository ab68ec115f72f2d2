"""Signed checkpoints: a tree's head that its log has signed. C2SP tlog-checkpoint on signed-note, with Ed25519 keys.

Any bytes are read to a value or a `PeerFault`. Knows no tree and no log.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64
from troth.evidence.merkle import HASH_BYTES
from troth.keys.signing import SigningKey
from troth.limits import JOURNAL_SIZE_MAX, NOTE_BYTES_MAX, NOTE_NAME_CHARS_MAX, NOTE_SIGNATURES_MAX

_ED25519: Final = b"\x01"
_MARK: Final = "\u2014 "
_KEY_ID_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log's tree at one size."""

    origin: str
    """Which log: ``home.example/journal``."""
    size: int
    root: bytes

    def render(self) -> bytes:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{render_base64(self.root)}\n".encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a log's Ed25519 key, and the name that stands in its signature lines."""

    name: str
    public: bytes
    """32 bytes (RFC 8032)."""

    @property
    def key_id(self) -> bytes:
        """The four bytes that tell keys of one name apart."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def render(self) -> str:
        """Return ``name+id+key``, as signed-note's tools write verifier keys."""
        return f"{self.name}+{self.key_id.hex()}+{render_base64(_ED25519 + self.public)}"

    def accepts(self, text: bytes, signature: bytes) -> bool:
        """Say whether this key has signed `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: whose it says it is, and the bytes after the key's id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its signatures, none of them verified yet."""

    checkpoint: Checkpoint
    text: bytes
    """What was signed: the lines of the checkpoint, extensions among them."""
    signatures: tuple[NoteSignature, ...]
    note: bytes
    """The whole as it came."""


def verifier_key(name: str, key: SigningKey) -> VerifierKey:
    """Return the public half of `key` under a name. Raises `Fault` (bad key) for a key that is not Ed25519."""
    if not isinstance(key.public_key, Ed25519PublicKey):
        raise Fault(Kind.BAD_KEY, "checkpoints are signed with an Ed25519 key", detail=f"it is {key.algorithm}")
    return VerifierKey(_require_name(name), key.public_key.public_bytes_raw())


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Return the signed note of `checkpoint`, the key's name being the origin. Raises `Fault` (bad key), or a signer's.

    Looks at nothing else: that no other head of this size was ever signed is its caller's duty.
    """
    verifier = verifier_key(checkpoint.origin, key)
    text = checkpoint.render()
    signature = key.sign(text)
    if not verifier.accepts(text, signature):
        raise Bug("the checkpoint key made a signature that is not its own")
    line = f"{_MARK}{verifier.name} {render_base64(verifier.key_id + signature)}\n"
    return text + b"\n" + line.encode()


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key of ``name+id+key``. Raises `PeerFault`: malformed; unsupported for another kind than Ed25519."""
    parts = text.strip().split("+", 2)
    if len(text) > NOTE_NAME_CHARS_MAX + 128 or len(parts) != 3:
        raise PeerFault(Kind.MALFORMED, "this is no verifier key", hint="it is one line: name+id+key")
    name, key_id, encoded = parts
    data = parse_base64(encoded, "the verifier key")
    if data[:1] != _ED25519 or len(data) != 1 + HASH_BYTES:
        raise PeerFault(Kind.UNSUPPORTED, "the verifier key is not of kind Ed25519")
    key = VerifierKey(_require_name(name), data[1:])
    if key.key_id.hex() != key_id:
        raise PeerFault(Kind.MALFORMED, "the verifier key's id is not that of its key")
    return key


def parse_checkpoint(note: bytes) -> SignedCheckpoint:
    """Return the checkpoint of a signed note, its signatures not verified.

    Raises `PeerFault`: too large above `NOTE_BYTES_MAX`, malformed.
    """
    if len(note) > NOTE_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a signed note has at most {NOTE_BYTES_MAX} bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    if any(character < " " and character != "\n" for character in whole):
        raise _malformed("it has control characters")
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise _malformed("it has no signature")
    lines = below[:-1].split("\n")
    if len(lines) > NOTE_SIGNATURES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a signed note has at most {NOTE_SIGNATURES_MAX} signatures")
    signed = f"{text}\n"
    return SignedCheckpoint(_checkpoint(signed), signed.encode(), tuple(_signature(line) for line in lines), note)


def parse_checkpoints(data: bytes, notes_max: int) -> list[SignedCheckpoint]:
    """Return the checkpoints of notes that stand one after the other, empty lines between them or not.

    That is how an anchor file keeps them. Raises `PeerFault`: malformed; too large above `notes_max` of them.
    """
    notes: list[list[bytes]] = [[]]
    signed = False
    for line in data.splitlines(keepends=True):
        is_signature = line.startswith(_MARK.encode())
        if signed and not is_signature:
            notes.append([])
            signed = False
        if not notes[-1] and line == b"\n":
            continue
        signed = signed or is_signature
        notes[-1].append(line)
    found = [b"".join(note) for note in notes if note]
    if len(found) > notes_max:
        raise PeerFault(Kind.TOO_LARGE, f"these are more than {notes_max} checkpoints")
    return [parse_checkpoint(note) for note in found]


def verify_checkpoint(signed: SignedCheckpoint, key: VerifierKey) -> Checkpoint:
    """Return what `key` has signed. Raises `PeerFault` (rejected) when it is another log's, or the key's is not there.

    Signatures of other keys are passed over, as signed-note asks.
    """
    if signed.checkpoint.origin != key.name:
        raise PeerFault(Kind.REJECTED, f"the checkpoint is of {signed.checkpoint.origin!r}, not of {key.name!r}")
    own = [each for each in signed.signatures if (each.name, each.key_id) == (key.name, key.key_id)]
    if not own:
        raise PeerFault(Kind.REJECTED, f"the checkpoint is not signed by the key {key.key_id.hex()} of {key.name}")
    if not all(key.accepts(signed.text, each.signature) for each in own):
        raise PeerFault(Kind.REJECTED, "the checkpoint's signature is not that of its text")
    return signed.checkpoint


def _checkpoint(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise _malformed("it has not the lines of a checkpoint")
    origin, size, root = lines[:3]
    if not (size.isascii() and size.isdigit()) or len(size) > 19 or str(int(size)) != size:
        raise _malformed("its size is no number")
    if int(size) > JOURNAL_SIZE_MAX:
        raise _malformed("its size is out of range")
    data = parse_base64(root, "a checkpoint's root hash")
    if len(data) != HASH_BYTES:
        raise _malformed("its root hash has not 32 bytes")
    return Checkpoint(origin, int(size), data)


def _signature(line: str) -> NoteSignature:
    mark, name, encoded = line[: len(_MARK)], *line[len(_MARK) :].partition(" ")[::2]
    if mark != _MARK:
        raise _malformed("a signature line is none")
    data = parse_base64(encoded, "a signature")
    if len(data) <= _KEY_ID_BYTES:
        raise _malformed("a signature is too short")
    return NoteSignature(_require_name(name), data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _require_name(name: str) -> str:
    if not name or len(name) > NOTE_NAME_CHARS_MAX or "+" in name or any(each.isspace() for each in name):
        raise _malformed("a key's name has no space and no plus sign")
    return name


def _malformed(reason: str) -> PeerFault:
    return PeerFault(Kind.MALFORMED, f"the checkpoint cannot be read: {reason}")
