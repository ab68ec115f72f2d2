"""Goes through a journal from its first entry to its last, and names what does not hold. Pure: rows come in, findings
come out, in the memory of one tree's frontier.

What an entry is checked against: its own stored hash; the next entry, which names the tree's head before it; and every
checkpoint, signed when the log had that size. Whoever can rewrite all of these leaves nothing to be found but by a
checkpoint that was kept outside.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from troth.errors import PeerFault
from troth.evidence.checkpoint import SignedCheckpoint, VerifierKey, verify_checkpoint
from troth.evidence.entry import Entry, parse_entry
from troth.evidence.merkle import HASH_BYTES, Frontier, leaf_hash

FINDINGS_MAX: Final = 100
"""Findings told one by one; further ones are counted."""


class Flaw(StrEnum):
    """What does not hold."""

    ROW_EDITED = "row-edited"
    """An entry's bytes are not those of its stored hash, to which all later entries commit."""
    HASH_EDITED = "hash-edited"
    """A stored hash is not that of its entry, to which all later entries commit."""
    ENTRY_REWRITTEN = "entry-rewritten"
    """An entry was changed with its hash: the next entry commits to another one."""
    ENTRY_MISSING = "entry-missing"
    """A number is left out."""
    ENTRY_MISPLACED = "entry-misplaced"
    """A number comes again."""
    ENTRY_UNREADABLE = "entry-unreadable"
    """Bytes that are no entry."""
    TAIL_REWRITTEN = "tail-rewritten"
    """All hashes fit, and the head is not the one that was signed: history was written anew from some entry on."""
    TRUNCATED = "truncated"
    """There are fewer entries than were signed: the last ones were cut off."""
    FORKED = "forked"
    """Two heads were signed for one size."""
    CHECKPOINT_FORGED = "checkpoint-forged"
    """A checkpoint that the log's key has not signed."""
    UNSIGNED = "unsigned"
    """There is no checkpoint at all."""
    COLUMNS_EDITED = "columns-edited"
    """A row's columns do not say what its entry says."""
    HEAD_EDITED = "head-edited"
    """The stored size or frontier is not that of the entries."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw, and the entries that it is about, from `first` to `last`."""

    flaw: Flaw
    first: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Witness:
    """A checkpoint to hold the log against."""

    signed: SignedCheckpoint
    kept_outside: bool
    """Whether it comes from where whoever wrote the log could not write."""
    source: str
    """Where it comes from, for people."""

    @property
    def size(self) -> int:
        """How many entries it speaks of."""
        return self.signed.checkpoint.size


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an audit."""

    entries: int
    root: bytes | None
    """The tree's head; None where no tree can be made of what is there."""
    signed: int
    """Entries under the newest checkpoint that holds."""
    signed_outside: int
    """Entries under the newest one that was kept outside, and holds."""
    findings: tuple[Finding, ...]
    more: int
    """Findings that are not told one by one."""
    uncompared: int
    """Checkpoints that could not be compared, since the tree is broken before their size."""


class Audit:
    """One passage through a log. Give every row in order to `take`, then call `finish` once."""

    def __init__(self, key: VerifierKey, witnesses: Iterable[Witness]) -> None:
        self.count = 0
        self._findings: list[Finding] = []
        self._more = 0
        self._frontier = Frontier()
        self._broken = False
        # The last entry's bytes and stored hash differ: the tree if the bytes are true. The next entry will tell.
        self._doubt: Frontier | None = None
        self._held = {False: 0, True: 0}
        self._failed: set[bool] = set()
        self._witnesses = self._ordered(key, witnesses)
        self._next = 0
        self._compare()

    def find(self, flaw: Flaw, first: int, last: int, text: str) -> None:
        """Add a finding."""
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(flaw, first, last, text))
        else:
            self._more += 1

    def take(self, body: bytes, nodes: bytes) -> Entry | None:
        """Take the next row: the entry's bytes and what is stored with them: its leaf hash, and perhaps more nodes.

        Return the entry, or None for one that cannot be read.
        """
        leaf, stored = leaf_hash(body), nodes[:HASH_BYTES]
        entry = self._read(body)
        in_place = entry is not None and self._in_place(entry)
        if not self._broken:
            # An entry whose own bytes are in doubt is no judge of those before it.
            self._judge(entry if in_place and leaf == stored else None)
        self.count += 1
        if self._broken:
            if leaf != stored:
                self.find(Flaw.ROW_EDITED, self.count, self.count, f"entry {self.count} is not that of its stored hash")
        else:
            self._grow(leaf, stored, nodes)
            self._compare()
        return entry

    def root(self) -> bytes | None:
        """Return the head of the tree over what was taken so far; None where no tree can be made of it."""
        return None if self._broken else self._frontier.root()

    def finish(self) -> Report:
        """Return what was found."""
        if not self._broken:
            self._judge(None)
        uncompared = sum(1 for witness in self._witnesses[self._next :] if witness.size <= self.count)
        beyond = [witness for witness in self._witnesses if witness.size > self.count]
        if beyond:
            witness = beyond[-1]
            text = (
                f"the log has {self.count} entries, and {witness.size} were signed ({witness.source}): it was cut off"
            )
            self.find(Flaw.TRUNCATED, self.count + 1, witness.size, text)
        if self.count and not self._witnesses:
            self.find(Flaw.UNSIGNED, 1, self.count, "no checkpoint of this log is there: nothing says that it is whole")
        root = None if self._broken else self._frontier.root()
        held = self._held
        return Report(self.count, root, max(held.values()), held[True], tuple(self._findings), self._more, uncompared)

    def _ordered(self, key: VerifierKey, witnesses: Iterable[Witness]) -> list[Witness]:
        """Return the witnesses that count, by size; what is wrong with them is found here."""
        kept: dict[tuple[int, bytes, bool], Witness] = {}
        roots: dict[int, Witness] = {}
        for witness in witnesses:
            head = witness.signed.checkpoint
            try:
                verify_checkpoint(witness.signed, key)
            except PeerFault as fault:
                self.find(Flaw.CHECKPOINT_FORGED, 1, head.size, f"{witness.source}: {fault.message}")
                # What was kept outside was trusted when it was put there: rather the log's key is not its own any more.
                if not witness.kept_outside:
                    continue
            other = roots.setdefault(head.size, witness)
            if other.signed.checkpoint.root != head.root:
                text = f"two heads were signed for {head.size} entries: {other.source} and {witness.source}"
                self.find(Flaw.FORKED, 1, head.size, text)
            kept.setdefault((head.size, head.root, witness.kept_outside), witness)
        return sorted(kept.values(), key=lambda each: each.size)

    def _read(self, body: bytes) -> Entry | None:
        try:
            return parse_entry(body)
        except PeerFault as fault:
            number = self.count + 1
            self.find(Flaw.ENTRY_UNREADABLE, number, number, f"entry {number} cannot be read ({fault.detail})")
            return None

    def _in_place(self, entry: Entry) -> bool:
        expected = self.count + 1
        if entry.number == expected:
            return True
        if entry.number < expected:
            text = f"in the place of entry {expected} stands entry {entry.number}"
            self.find(Flaw.ENTRY_MISPLACED, expected, expected, text)
            return False
        last = entry.number - 1
        text = f"entry {expected} is" if last == expected else f"entries {expected} to {last} are"
        self.find(Flaw.ENTRY_MISSING, expected, last, f"{text} missing")
        if not self._broken:
            self._judge(None)
        self._broken = True
        self.count = last
        return True

    def _judge(self, entry: Entry | None) -> None:
        """Hold the tree so far against the entry after it; None where there is none that could tell."""
        doubt, self._doubt = self._doubt, None
        number = self.count
        if entry is None or entry.head == self._frontier.root():
            if doubt is not None:
                text = f"entry {number} was edited: its bytes are not those of its stored hash"
                self.find(Flaw.ROW_EDITED, number, number, text)
        elif doubt is not None and entry.head == doubt.root():
            self._frontier = doubt
            text = f"the stored hash of entry {number} was edited: entry {number + 1} commits to its bytes"
            self.find(Flaw.HASH_EDITED, number, number, text)
        else:
            text = (
                f"entry {number} was rewritten together with its hash: entry {number + 1} commits to another history"
                if number
                else "entry 1 was rewritten: it does not commit to an empty log"
            )
            self.find(Flaw.ENTRY_REWRITTEN, max(number, 1), max(number, 1), text)
            self._broken = True

    def _grow(self, leaf: bytes, stored: bytes, nodes: bytes) -> None:
        if leaf != stored:
            self._doubt = self._frontier.copy()
            self._doubt.append(leaf)
        completed = self._frontier.append(stored)
        if len(nodes) != HASH_BYTES and nodes != completed:
            number = self.count
            text = f"the hashes of the subtrees that entry {number} completes were edited"
            self.find(Flaw.HASH_EDITED, number, number, text)

    def _compare(self) -> None:
        """Hold the tree against the checkpoints of its size."""
        while self._next < len(self._witnesses) and self._witnesses[self._next].size == self.count:
            witness = self._witnesses[self._next]
            self._next += 1
            root = witness.signed.checkpoint.root
            if self._doubt is not None and root == self._doubt.root():
                text = f"the stored hash of entry {self.count} was edited: its bytes were signed ({witness.source})"
                self.find(Flaw.HASH_EDITED, self.count, self.count, text)
                self._frontier, self._doubt = self._doubt, None
            if root == self._frontier.root():
                self._held[witness.kept_outside] = self.count
            elif witness.kept_outside not in self._failed:
                self._failed.add(witness.kept_outside)
                self._rewritten(witness)

    def _rewritten(self, witness: Witness) -> None:
        # A checkpoint of the log's own may be signed anew by whoever stole the key: it says nothing of an older one.
        first = (self._held[True] if witness.kept_outside else max(self._held.values())) + 1
        text = (
            f"history was rewritten at or after entry {first}: the first {witness.size} entries are not those that were"
            f" signed ({witness.source})"
        )
        self.find(Flaw.TAIL_REWRITTEN, first, witness.size, text)
