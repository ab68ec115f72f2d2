"""The Merkle tree of RFC 9162, section 2.1 (RFC 6962's, with SHA-256): heads, compact frontiers, proofs. Pure.

Knows neither entries nor where hashes are stored: whoever wants a proof is told which hashes of complete subtrees it
takes. The names of sections below are those of RFC 9162.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from troth.errors import Bug, Kind, PeerFault

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The head of a tree without leaves (2.1.1)."""

_sha256: Final = hashlib.sha256


class Node(NamedTuple):
    """A complete subtree: that over the leaves from ``place << level`` up to, not with, ``(place + 1) << level``."""

    level: int
    place: int

    @property
    def last_leaf(self) -> int:
        """The index of the leaf that completes it."""
        return ((self.place + 1) << self.level) - 1


Fetch = Callable[[Sequence[Node]], Sequence[bytes]]
"""Returns the hashes of the complete subtrees asked for, in that order."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (2.1.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees (2.1.1)."""
    return _sha256(b"\x01" + left + right).digest()


def tree_head(leaves: Iterable[bytes]) -> bytes:
    """Return the head of the tree over these leaf hashes (2.1.2)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


class Frontier:
    """All that must be kept of a tree to make it grow: the hashes of its largest complete subtrees, largest first."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Raises `PeerFault` (malformed) for hashes that are not those of a tree of `size` leaves."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(each) != HASH_BYTES for each in hashes):
            raise PeerFault(Kind.MALFORMED, f"these are not the subtrees of a tree of {size} leaves")
        self.size = size
        self._hashes = list(hashes)

    def append(self, leaf: bytes) -> bytes:
        """Add a leaf, and return the hashes of all subtrees that it completes, one after the other, itself first."""
        completed = [leaf]
        size = self.size
        while size & 1:
            leaf = _sha256(b"\x01" + self._hashes.pop() + leaf).digest()
            completed.append(leaf)
            size >>= 1
        self._hashes.append(leaf)
        self.size += 1
        return b"".join(completed)

    def root(self) -> bytes:
        """Return the tree's head."""
        return _fold(self._hashes)

    def copy(self) -> "Frontier":
        """Return a frontier that grows apart from this one."""
        return Frontier(self.size, self._hashes)

    def render(self) -> bytes:
        """Return the hashes one after the other; `parse_frontier` reads them."""
        return b"".join(self._hashes)


def parse_frontier(size: int, data: bytes) -> Frontier:
    """Return the frontier that `Frontier.render` made this of. Raises `PeerFault` (malformed)."""
    return Frontier(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])


def frontier_nodes(size: int) -> list[Node]:
    """Return the largest complete subtrees of a tree of `size` leaves, largest first."""
    return _cover(0, size)


def prove_inclusion(index: int, size: int, fetch: Fetch) -> list[bytes]:
    """Return the inclusion path of leaf `index` in the tree of `size` leaves (2.1.3.1); `fetch` is called once.

    Raises `Bug` for a leaf that is not in the tree.
    """
    if not 0 <= index < size:
        raise Bug(f"leaf {index} is not in a tree of {size}")
    ranges = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return _hashes_of(ranges[::-1], fetch)


def prove_consistency(first: int, second: int, fetch: Fetch) -> list[bytes]:
    """Return the proof that the tree of `second` leaves begins with that of `first` (2.1.4.1); one call of `fetch`.

    Empty where nothing needs proof: for an empty `first` and for two of one size. Raises `Bug` when `first` is larger.
    """
    if not 0 <= first <= second:
        raise Bug(f"a tree of {second} leaves cannot begin with one of {first}")
    if first == 0:
        return []
    ranges = []
    begin, end = 0, second
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:
        ranges.append((begin, end))
    return _hashes_of(ranges[::-1], fetch)


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if `path` proves that `leaf` is leaf `index` of the tree of `size` leaves with this root (2.1.3.2).

    Raises `PeerFault` (rejected).
    """
    if not 0 <= index < size:
        raise _unproven("the leaf is outside of the tree")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            raise _unproven("the inclusion path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or r != root:
        raise _unproven("the inclusion path does not lead to the tree's head")


def verify_consistency(first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> None:
    """Return if `path` proves that the second tree begins with the first (2.1.4.2). Raises `PeerFault` (rejected)."""
    if not 0 <= first <= second:
        raise _unproven("the second tree is smaller than the first")
    if first in {0, second}:
        expected = second_root if first else EMPTY_ROOT
        if path or first_root != expected:
            raise _unproven("the first tree is another one")
        return
    # Where the first tree is one complete subtree, its head stands for itself.
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not path:
        raise _unproven("the consistency proof is empty")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = steps[0]
    for c in steps[1:]:
        if sn == 0:
            raise _unproven("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0 or fr != first_root or sr != second_root:
        raise _unproven("the second tree does not begin with the first")


def _split(count: int) -> int:
    """Return the largest power of two below `count` (2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _cover(begin: int, end: int) -> list[Node]:
    """Return the complete subtrees that make up the leaves of a subtree, left to right, each smaller than the last."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return nodes


def _hashes_of(ranges: Sequence[tuple[int, int]], fetch: Fetch) -> list[bytes]:
    covers = [_cover(begin, end) for begin, end in ranges]
    fetched = iter(fetch([node for cover in covers for node in cover]))
    return [_fold([next(fetched) for _ in cover]) for cover in covers]


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the head over complete subtrees that stand side by side, each smaller than the one before."""
    if not hashes:
        return EMPTY_ROOT
    head = hashes[-1]
    for left in reversed(hashes[:-1]):
        head = _sha256(b"\x01" + left + head).digest()
    return head


def _unproven(message: str) -> PeerFault:
    return PeerFault(Kind.REJECTED, message)
