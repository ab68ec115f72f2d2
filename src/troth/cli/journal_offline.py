"""Verifying the journal from files alone: an export or a proof, a key, old checkpoints. Needs the base install only."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from troth.cli.output import say
from troth.errors import Fault, Kind
from troth.evidence.audit import Audit, Report, Witness
from troth.evidence.checkpoint import VerifierKey, parse_checkpoints, parse_verifier_key
from troth.evidence.export import read_head, read_rows
from troth.evidence.proof import (
    PROOF_BYTES_MAX,
    InclusionProof,
    parse_proof,
    verify_consistency_proof,
    verify_inclusion_proof,
)
from troth.keys.files import read_bounded
from troth.limits import ANCHOR_FILE_BYTES_MAX, ANCHOR_NOTES_MAX, NOTE_NAME_CHARS_MAX

PROGRESS_ENTRIES: Final = 100_000
"""Entries between two words about how far it has come."""


def read_key(path: Path) -> VerifierKey:
    """Return the verifier key in a file. Raises `Fault`."""
    return parse_verifier_key(read_bounded(path, NOTE_NAME_CHARS_MAX + 128).decode("ascii", "replace"))


def read_outside(paths: Sequence[Path]) -> list[Witness]:
    """Return the checkpoints in files that were kept elsewhere: single ones, or an anchor's. Raises `Fault`."""
    return [
        Witness(signed, kept_outside=True, source=f"{path}, for {signed.checkpoint.size} entries")
        for path in paths
        for signed in parse_checkpoints(read_bounded(path, ANCHOR_FILE_BYTES_MAX), ANCHOR_NOTES_MAX)
    ]


def audit_export(path: Path, key: VerifierKey | None, outside: Sequence[Witness]) -> Report:
    """Go through an export; without `key` under the one that it names itself. Raises `Fault` when it cannot be read."""
    try:
        file = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    except OSError as error:
        raise Fault(Kind.NOT_FOUND, f"{path} cannot be read: {error.strerror}") from error
    with file:
        head, line = read_head(file.readline)
        own = [
            Witness(signed, kept_outside=False, source=f"the export's checkpoint of {signed.checkpoint.size} entries")
            for signed in head.checkpoints
        ]
        auditing = Audit(key or head.key, [*own, *outside])
        for body, leaf in read_rows(file.readline, line):
            auditing.take(body, leaf)
            tell(auditing.count, head.size)
    return auditing.finish()


def verify_proof(path: Path, key: VerifierKey, outside: Sequence[Witness]) -> tuple[dict[str, object], str]:
    """Verify a proof and return what it proves, for JSON and for people. Raises `Fault`: rejected, malformed."""
    proof = parse_proof(read_bounded(path, PROOF_BYTES_MAX))
    if isinstance(proof, InclusionProof):
        entry = verify_inclusion_proof(proof, key)
        size = proof.signed.checkpoint.size
        value: dict[str, object] = {"entry": entry.number, "entries": size, "at": entry.at, "actor": entry.actor}
        value |= {"kind": entry.kind, "subject": entry.subject, "why": entry.why, "data": dict(entry.data)}
        text = f"entry {entry.number} is in the log of {size} entries that {key.name} signed:\n{proof.body.decode()}"
        return {"valid": True, **value}, text
    if len(outside) != 1:
        hint = "give the older checkpoint with --checkpoint FILE"
        raise Fault(Kind.MALFORMED, "this proof is about an older checkpoint", hint=hint)
    head = verify_consistency_proof(proof, outside[0].signed, key)
    value = {"valid": True, "old_entries": proof.size, "entries": head.size}
    return value, f"the log of {head.size} entries begins with the {proof.size} of the older checkpoint"


def tell(done: int, of: int) -> None:
    """Say to people how far a passage through the log has come."""
    if done and done % PROGRESS_ENTRIES == 0:
        say(f"  {done} of {of} entries")
