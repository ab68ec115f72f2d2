from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evidence.logs import VERIFIER, log_of

from troth.errors import Kind, PeerFault
from troth.evidence.checkpoint import verifier_key
from troth.evidence.merkle import Node, prove_consistency, prove_inclusion
from troth.evidence.proof import (
    PROOF_BYTES_MAX,
    ConsistencyProof,
    InclusionProof,
    parse_proof,
    render_consistency,
    render_inclusion,
    verify_consistency_proof,
    verify_inclusion_proof,
)
from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm

LOG = log_of(11)


def fetch(nodes: Sequence[Node]) -> list[bytes]:
    return [LOG.rows[node.last_leaf][1][node.level * 32 : node.level * 32 + 32] for node in nodes]


INCLUSION = InclusionProof(LOG.rows[6][0], 6, tuple(prove_inclusion(6, 11, fetch)), LOG.sign())
CONSISTENCY = ConsistencyProof(5, tuple(prove_consistency(5, 11, fetch)), LOG.sign())
SHOWN = render_inclusion(INCLUSION)


def test_a_proof_is_written_as_c2sp_says() -> None:
    lines = SHOWN.decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra eyJ")
    assert lines[2] == "index 6"
    assert lines[3 + len(INCLUSION.path) : 6 + len(INCLUSION.path)] == ["", "home.example/journal", "11"]
    assert render_consistency(CONSISTENCY).startswith(b"old 5\n")


def test_proofs_come_back_and_prove() -> None:
    found, consistency = parse_proof(SHOWN), parse_proof(render_consistency(CONSISTENCY))
    assert isinstance(found, InclusionProof)
    assert isinstance(consistency, ConsistencyProof)
    assert (found, consistency) == (INCLUSION, CONSISTENCY)
    assert verify_inclusion_proof(found, VERIFIER).subject == "lamp-7"
    assert verify_consistency_proof(consistency, log_of(5).sign(), VERIFIER).size == 11


def test_an_entry_that_is_not_in_the_log_is_not_proven() -> None:
    edited = INCLUSION.body.replace(b"lamp-7", b"lamp-8")
    stranger = verifier_key(VERIFIER.name, generate(KeyAlgorithm.ED25519))
    for proof, key in (
        (replace(INCLUSION, body=edited), VERIFIER),
        (replace(INCLUSION, index=5), VERIFIER),
        (replace(INCLUSION, path=INCLUSION.path[:-1]), VERIFIER),
        (replace(INCLUSION, signed=log_of(11, 3).sign()), VERIFIER),
        (INCLUSION, stranger),
    ):
        with pytest.raises(PeerFault) as caught:
            verify_inclusion_proof(proof, key)
        assert caught.value.kind is Kind.REJECTED


def test_another_history_is_not_proven() -> None:
    for old in (log_of(5, 2).sign(), log_of(4).sign(), log_of(5).sign(generate(KeyAlgorithm.ED25519))):
        with pytest.raises(PeerFault) as caught:
            verify_consistency_proof(CONSISTENCY, old, VERIFIER)
        assert caught.value.kind is Kind.REJECTED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"@v1", b"@v2"),
        (b"extra ", b"extra *"),
        (b"extra ", b"more "),
        (b"index 6", b"index 06"),
        (b"index 6", b"index six"),
        (b"index 6", b"place 6"),
        (b"index 6\n", b"index 6\nAAAA\n"),
        (b"index 6\n", "index 6\né\n".encode()),
        (b"\n\n", b"\n"),
    ],
)
def test_another_spelling_is_refused(old: bytes, new: bytes) -> None:
    assert old in SHOWN
    with pytest.raises(PeerFault) as caught:
        parse_proof(SHOWN.replace(old, new))
    assert caught.value.kind is Kind.MALFORMED


@given(st.binary(max_size=200), st.integers(0, len(SHOWN)))
def test_any_bytes_are_read_or_refused(data: bytes, at: int) -> None:
    for whole in (data, SHOWN[:at] + data + SHOWN[at:]):
        try:
            parse_proof(whole)
        except PeerFault:
            continue


def test_proofs_are_bounded() -> None:
    hashes = b"index 6\n" + (b"A" * 43 + b"=\n") * 200
    for data in (SHOWN.replace(b"index 6\n", hashes), bytes(PROOF_BYTES_MAX + 1)):
        with pytest.raises(PeerFault) as caught:
            parse_proof(data)
        assert caught.value.kind is Kind.TOO_LARGE
