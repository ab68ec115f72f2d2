"""Proofs of what stands in the journal, ready to be carried away. Each is verified before it is given out."""

from sqlalchemy import Connection, select

from troth.errors import Fault, Kind, PeerFault
from troth.evidence.checkpoint import SignedCheckpoint, VerifierKey
from troth.evidence.proof import (
    ConsistencyProof,
    InclusionProof,
    render_consistency,
    render_inclusion,
    verify_consistency_proof,
    verify_inclusion_proof,
)
from troth.journal import tables
from troth.journal.checkpoints import find_newest
from troth.journal.trees import consistency_path, inclusion_path


def prove_inclusion(connection: Connection, number: int, key: VerifierKey) -> bytes:
    """Return the proof that entry `number` is under the newest checkpoint, as C2SP tlog-proof writes it.

    Raises `Fault`: not found (no such entry, or none signed yet), rejected (the journal is not what was signed).
    """
    body = connection.execute(
        select(tables.entries.c.body).where(tables.entries.c.number == number)
    ).scalar_one_or_none()
    if body is None:
        raise Fault(Kind.NOT_FOUND, f"there is no entry {number}", hint="troth journal show lists them")
    signed = _newest(connection)
    size = signed.checkpoint.size
    if number > size:
        hint = "the authority signs within a second while it runs"
        raise Fault(Kind.NOT_FOUND, f"entry {number} is not signed yet: {size} are", hint=hint)
    proof = InclusionProof(body, number - 1, tuple(inclusion_path(connection, number, size)), signed)
    try:
        verify_inclusion_proof(proof, key)
    except PeerFault as fault:
        raise _changed(fault) from fault
    return render_inclusion(proof)


def prove_consistency(connection: Connection, older: SignedCheckpoint, key: VerifierKey) -> bytes:
    """Return the proof that the newest checkpoint's log begins with the older one's, as C2SP tlog-witness takes it.

    Raises `Fault` (rejected) when it does not, or one of them is not signed by `key`.
    """
    signed = _newest(connection)
    first, second = older.checkpoint.size, signed.checkpoint.size
    if first > second:
        message = f"the older checkpoint is of {first} entries, the newest here of {second}: the log was cut off"
        raise Fault(Kind.REJECTED, message, hint="troth journal verify --checkpoint FILE tells more")
    proof = ConsistencyProof(first, tuple(consistency_path(connection, first, second)), signed)
    try:
        verify_consistency_proof(proof, older, key)
    except PeerFault as fault:
        raise _changed(fault) from fault
    return render_consistency(proof)


def _newest(connection: Connection) -> SignedCheckpoint:
    signed = find_newest(connection)
    if signed is None:
        raise Fault(Kind.NOT_FOUND, "nothing is signed yet", hint="the authority signs when it starts")
    return signed


def _changed(fault: Fault) -> Fault:
    hint = "troth journal verify names what was changed"
    return Fault(Kind.REJECTED, f"the journal is not what was signed: {fault.message}", hint=hint)
