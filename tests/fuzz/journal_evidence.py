"""Any bytes as what is carried away from a journal: read to a value that is written as it was, or a PeerFault."""

import io
from contextlib import suppress
from typing import Final

from tests.unit.evidence.logs import VERIFIER, log_of

from troth.errors import PeerFault
from troth.evidence.audit import Audit, Witness
from troth.evidence.checkpoint import parse_checkpoint, parse_checkpoints, parse_verifier_key, verify_checkpoint
from troth.evidence.entry import parse_entry, render_entry
from troth.evidence.export import read_head, read_rows, render_end, render_head, render_row
from troth.evidence.proof import ConsistencyProof, InclusionProof, parse_proof, render_consistency, render_inclusion

_LOG: Final = log_of(3)
_SIGNED: Final = _LOG.sign()
_ROWS: Final = [render_row(body, nodes[:32]) for body, nodes in _LOG.rows]

SEEDS: Final = (
    _SIGNED.note,
    VERIFIER.render().encode(),
    _LOG.rows[1][0],
    b"".join([*render_head(VERIFIER, 3, iter([_SIGNED.note])), *_ROWS, render_end(3)]),
    render_inclusion(InclusionProof(_LOG.rows[0][0], 0, (bytes(32), bytes(32)), _SIGNED)),
    render_consistency(ConsistencyProof(2, (bytes(32),), _SIGNED)),
)
WORDS: Final = (
    b"\n",
    b"\n\n",
    b" ",
    "\u2014 ".encode(),
    b"=",
    b"A" * 43 + b"=",
    b"entry ",
    b"checkpoint ",
    b"index ",
    b"old ",
    b"extra ",
    b"end ",
    b"{",
    b'"number":',
    b"18446744073709551616",
    b"\xff",
    b"\0",
)


def check(data: bytes) -> None:
    """Read the bytes as each of the formats."""
    with suppress(PeerFault):
        assert render_entry(parse_entry(data)) == data
    with suppress(PeerFault):
        verify_checkpoint(parse_checkpoint(data), VERIFIER)
    with suppress(PeerFault):
        parse_checkpoints(data, 10)
    with suppress(PeerFault):
        parse_verifier_key(data.decode("latin-1"))
    with suppress(PeerFault):
        proof = parse_proof(data)
        rendered = render_inclusion(proof) if isinstance(proof, InclusionProof) else render_consistency(proof)
        assert rendered == data
    with suppress(PeerFault):
        _audit(data)


def _audit(data: bytes) -> None:
    file = io.BytesIO(data)
    head, line = read_head(file.readline)
    auditing = Audit(VERIFIER, [Witness(each, kept_outside=False, source="own") for each in head.checkpoints])
    for row in read_rows(file.readline, line):
        auditing.take(*row)
    auditing.finish()
