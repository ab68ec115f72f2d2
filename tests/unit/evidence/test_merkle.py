import functools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.errors import Bug, PeerFault
from troth.evidence.merkle import (
    EMPTY_ROOT,
    Fetch,
    Frontier,
    Node,
    frontier_nodes,
    leaf_hash,
    node_hash,
    parse_frontier,
    prove_consistency,
    prove_inclusion,
    tree_head,
    verify_consistency,
    verify_inclusion,
)

# The vectors that certificate-transparency's own implementations are held to: its C++ merkle_tree_test.cc, and from
# there the Go, Java and Rust ones. They are for RFC 6962, whose tree RFC 9162 kept.
INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
    (1, 5): (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
CONSISTENCY = {
    (1, 1): (),
    (1, 8): INCLUSION[0, 8],
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
LEAVES = [leaf_hash(bytes.fromhex(each)) for each in INPUTS]


@functools.cache
def naive(leaves: tuple[bytes, ...]) -> bytes:
    """RFC 9162, 2.1.1, as it is written."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(naive(leaves[:k]), naive(leaves[k:]))


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, leaves: tuple[bytes, ...]) -> list[bytes]:
    """RFC 9162, 2.1.3.1, as it is written."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive(leaves[:k])]


def naive_subproof(m: int, leaves: tuple[bytes, ...], known: bool) -> list[bytes]:
    """RFC 9162, 2.1.4.1, as it is written."""
    if m == len(leaves):
        return [] if known else [naive(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], known), naive(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive(leaves[:k])]


def leaves_of(count: int) -> tuple[bytes, ...]:
    return tuple(leaf_hash(str(number).encode()) for number in range(count))


class Stored:
    """The hashes of complete subtrees, as the journal keeps them: beside the leaf that completes each."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        frontier = Frontier()
        self.rows = [frontier.append(leaf) for leaf in leaves]

    def __call__(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self.rows[node.last_leaf][node.level * 32 : node.level * 32 + 32] for node in nodes]


def test_the_heads_are_those_of_certificate_transparency() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [tree_head(LEAVES[:count]).hex() for count in range(1, 9)] == list(ROOTS)


def test_the_proofs_are_those_of_certificate_transparency() -> None:
    for (index, size), path in INCLUSION.items():
        assert [each.hex() for each in prove_inclusion(index, size, Stored(LEAVES))] == list(path)
        steps = [bytes.fromhex(each) for each in path]
        verify_inclusion(LEAVES[index], index, size, steps, bytes.fromhex(ROOTS[size - 1]))
    for (first, second), path in CONSISTENCY.items():
        assert [each.hex() for each in prove_consistency(first, second, Stored(LEAVES))] == list(path)
        heads = bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[second - 1])
        verify_consistency(first, heads[0], second, heads[1], [bytes.fromhex(each) for each in path])


@pytest.mark.parametrize("size", [*range(1, 18), 31, 32, 33])
def test_every_proof_is_that_of_the_definition(size: int) -> None:
    leaves = leaves_of(size)
    stored = Stored(leaves)
    root = tree_head(leaves)
    assert root == naive(leaves)
    for index in range(size):
        path = prove_inclusion(index, size, stored)
        assert path == naive_path(index, leaves)
        verify_inclusion(leaves[index], index, size, path, root)
    for first in range(1, size + 1):
        proof = prove_consistency(first, size, stored)
        assert proof == naive_subproof(first, leaves, True)
        verify_consistency(first, naive(leaves[:first]), size, root, proof)
    verify_consistency(0, EMPTY_ROOT, size, root, [])


@settings(max_examples=60)
@given(st.data())
def test_a_proof_proves_nothing_else(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 200))
    leaves = leaves_of(size)
    stored, root = Stored(leaves), tree_head(leaves)
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    path = prove_inclusion(index, size, stored)
    with pytest.raises(PeerFault):
        verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    if other != index:
        with pytest.raises(PeerFault):
            verify_inclusion(leaves[index], other, size, path, root)
    first = data.draw(st.integers(1, size - 1))
    proof = prove_consistency(first, size, stored)
    with pytest.raises(PeerFault):
        verify_consistency(first, leaf_hash(b"another"), size, root, proof)
    with pytest.raises(PeerFault):
        verify_consistency(first, naive(leaves[:first]), size, leaf_hash(b"another"), proof)
    broken = data.draw(st.sampled_from(["shorter", "longer", "changed"]))
    verifications: list[tuple[Callable[[list[bytes]], None], list[bytes]]] = [
        (lambda steps: verify_inclusion(leaves[index], index, size, steps, root), path),
        (lambda steps: verify_consistency(first, naive(leaves[:first]), size, root, steps), proof),
    ]
    for verify, steps in verifications:
        at = data.draw(st.integers(0, len(steps) - 1))
        others = {
            "shorter": steps[:at] + steps[at + 1 :],
            "longer": [*steps[:at], leaf_hash(b"more"), *steps[at:]],
            "changed": [*steps[:at], leaf_hash(b"more"), *steps[at + 1 :]],
        }
        with pytest.raises(PeerFault):
            verify(others[broken])


@given(st.integers(0, 300))
def test_a_frontier_is_kept_and_found_again(size: int) -> None:
    leaves = leaves_of(size)
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    assert frontier.render() == b"".join(Stored(leaves)(frontier_nodes(size)))
    again = parse_frontier(size, frontier.render())
    assert again.root() == frontier.root() == naive(leaves)
    again.append(leaf_hash(b"next"))
    assert again.root() == naive((*leaves, leaf_hash(b"next")))
    assert frontier.copy().root() == frontier.root()


@pytest.mark.parametrize(("size", "data"), [(1, b""), (0, bytes(32)), (3, bytes(32)), (1, bytes(33)), (-1, b"")])
def test_what_is_no_frontier_is_refused(size: int, data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_frontier(size, data)


def test_at_ten_million_a_proof_takes_few_hashes() -> None:
    size = 10_000_000
    questions: list[Callable[[Fetch], list[bytes]]] = [
        lambda fetch: prove_inclusion(4_999_999, size, fetch),
        lambda fetch: prove_inclusion(size - 1, size, fetch),
        lambda fetch: prove_consistency(6_543_210, size, fetch),
    ]
    for ask in questions:
        asked: list[Node] = []

        def fetch(nodes: Sequence[Node], asked: list[Node] = asked) -> list[bytes]:
            asked.extend(nodes)
            return [bytes(32) for _ in nodes]

        ask(fetch)
        assert len(asked) <= 2 * size.bit_length()


def test_proofs_of_what_is_not_there_are_defects() -> None:
    with pytest.raises(Bug):
        prove_inclusion(8, 8, Stored(LEAVES))
    with pytest.raises(Bug):
        prove_consistency(9, 8, Stored(LEAVES))


@pytest.mark.parametrize(
    ("first", "second", "path"), [(9, 8, []), (8, 8, [bytes(32)]), (0, 8, [bytes(32)]), (3, 8, []), (4, 8, [])]
)
def test_consistency_that_cannot_be_is_refused(first: int, second: int, path: list[bytes]) -> None:
    with pytest.raises(PeerFault):
        verify_consistency(first, tree_head(LEAVES[:first]), second, tree_head(LEAVES[:second]), path)


def test_two_heads_of_one_size_are_not_consistent() -> None:
    verify_consistency(8, tree_head(LEAVES), 8, tree_head(LEAVES), [])
    with pytest.raises(PeerFault):
        verify_consistency(8, tree_head(LEAVES), 8, leaf_hash(b"another"), [])
    with pytest.raises(PeerFault):
        verify_consistency(0, leaf_hash(b"another"), 8, tree_head(LEAVES), [])
