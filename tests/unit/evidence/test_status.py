"""What a bundle's head proves, where only whoever has the journal's own key could make it up."""

import pytest
from tests.unit.evidence.logs import KEY, VERIFIER

from troth.errors import PeerFault
from troth.evidence.bundle import BundleHead, ProvenEntry
from troth.evidence.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from troth.evidence.entry import Entry, render_entry
from troth.evidence.merkle import leaf_hash
from troth.evidence.status import prove
from troth.testing.clock import NOON


@pytest.mark.parametrize(("number", "refusal"), [(2, "stands in the place of entry 1"), (1, None)])
def test_an_entry_counts_in_its_own_place_alone(number: int, refusal: str | None) -> None:
    body = render_entry(Entry(number, NOON, "system:test", "certificate.issued", "lamp", {}))
    note = sign_checkpoint(Checkpoint(VERIFIER.name, 1, leaf_hash(body)), KEY)
    head = BundleHead(VERIFIER, parse_checkpoint(note), (), (), (ProvenEntry(0, (), body),), ())
    if refusal is None:
        assert prove(head, [], VERIFIER).entries == 1
    else:
        with pytest.raises(PeerFault, match=refusal):
            prove(head, [], VERIFIER)
