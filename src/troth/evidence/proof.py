"""Proofs that a stranger can carry away and check: an entry is in the log; the log still begins as it did.

The first is C2SP tlog-proof, its ``extra`` line the entry's own bytes; the second is what C2SP tlog-witness has a log
show to a witness. Any bytes are read to a value or a `PeerFault`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from troth.errors import Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64
from troth.evidence.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    VerifierKey,
    parse_checkpoint,
    verify_checkpoint,
)
from troth.evidence.entry import Entry, parse_entry
from troth.evidence.merkle import HASH_BYTES, leaf_hash, verify_consistency, verify_inclusion
from troth.limits import JOURNAL_ENTRY_BYTES_MAX, JOURNAL_SIZE_MAX, NOTE_BYTES_MAX

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_PATH_MAX: Final = 2 * JOURNAL_SIZE_MAX.bit_length()
PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + 2 * JOURNAL_ENTRY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """An entry, its place, and the way from it to a signed head."""

    body: bytes
    """The entry's canonical bytes, which the proof is about."""
    index: int
    """From 0: the entry's number less one."""
    path: tuple[bytes, ...]
    signed: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """The size of an older tree, and the way from its head and the newer one's."""

    size: int
    path: tuple[bytes, ...]
    signed: SignedCheckpoint


def render_inclusion(proof: InclusionProof) -> bytes:
    """Return the proof as C2SP tlog-proof writes it."""
    lines = [_FIRST_LINE, f"extra {render_base64(proof.body)}", f"index {proof.index}"]
    return _render(lines, proof.path, proof.signed)


def render_consistency(proof: ConsistencyProof) -> bytes:
    """Return the proof as C2SP tlog-witness takes it."""
    return _render([f"old {proof.size}"], proof.path, proof.signed)


def parse_proof(data: bytes) -> InclusionProof | ConsistencyProof:
    """Return the proof, nothing in it verified. Raises `PeerFault`: too large, malformed."""
    if len(data) > PROOF_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a proof has at most {PROOF_BYTES_MAX} bytes")
    above, blank, note = data.partition(b"\n\n")
    try:
        lines = above.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _malformed("it is not ASCII") from error
    if not blank:
        raise _malformed("there is no checkpoint in it")
    if lines[0] == _FIRST_LINE and len(lines) >= 3 and lines[1].startswith("extra "):
        body = parse_base64(lines[1].removeprefix("extra "), "the entry")
        return InclusionProof(body, _number("index ", lines[2]), _path(lines[3:]), parse_checkpoint(note))
    if lines[0].startswith("old "):
        return ConsistencyProof(_number("old ", lines[0]), _path(lines[1:]), parse_checkpoint(note))
    raise _malformed("it begins neither as C2SP's tlog-proof, with the entry in it, nor as tlog-witness")


def verify_inclusion_proof(proof: InclusionProof, key: VerifierKey) -> Entry:
    """Return the entry that the log has signed for. Raises `PeerFault`: rejected, malformed."""
    head = verify_checkpoint(proof.signed, key)
    verify_inclusion(leaf_hash(proof.body), proof.index, head.size, proof.path, head.root)
    entry = parse_entry(proof.body)
    if entry.number != proof.index + 1:
        raise PeerFault(Kind.REJECTED, f"the log has entry {entry.number} in the place of entry {proof.index + 1}")
    return entry


def verify_consistency_proof(proof: ConsistencyProof, old: SignedCheckpoint, key: VerifierKey) -> Checkpoint:
    """Return the newer head, which begins with the older one, both signed by `key`. Raises `PeerFault` (rejected)."""
    before, after = verify_checkpoint(old, key), verify_checkpoint(proof.signed, key)
    if before.size != proof.size:
        raise PeerFault(Kind.REJECTED, f"the proof is about {proof.size} entries, the checkpoint about {before.size}")
    verify_consistency(before.size, before.root, after.size, after.root, proof.path)
    return after


def _render(lines: list[str], path: Sequence[bytes], signed: SignedCheckpoint) -> bytes:
    return "\n".join([*lines, *map(render_base64, path), "", ""]).encode() + signed.note


def _number(word: str, line: str) -> int:
    digits = line.removeprefix(word)
    if not line.startswith(word) or not digits.isdigit() or len(digits) > 19 or str(int(digits)) != digits:
        raise _malformed(f"{word.strip()} has no number")
    return int(digits)


def _path(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > _PATH_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a proof has at most {_PATH_MAX} hashes")
    path = tuple(parse_base64(line, "a hash") for line in lines)
    if any(len(each) != HASH_BYTES for each in path):
        raise _malformed("a hash has not 32 bytes")
    return path


def _malformed(reason: str) -> PeerFault:
    return PeerFault(Kind.MALFORMED, f"the proof cannot be read: {reason}")
