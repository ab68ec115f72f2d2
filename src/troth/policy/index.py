"""Finds which of many patterns match a text without trying each of them.

Exact patterns stand in a dict. All others are sorted by the text that they begin with, which makes of the list a trie:
what two texts begin with together lies between them. Those that ask for more than a beginning are then tried; so the
time grows with the patterns that begin as the text does, and not with all there are.
"""

from bisect import bisect_right
from sys import maxsize
from typing import Final, Protocol

NOWHERE: Final = maxsize
"""The place of what is not there: behind all others."""


class Matcher(Protocol):
    """A pattern that has to be tried."""

    def matches(self, text: str, /) -> bool:
        """Say whether the whole of `text` matches."""
        ...


class Draft:
    """Patterns from which an index is made, each added with its place in an order; no place is below the last."""

    __slots__ = ("exact", "others", "prefixes")

    def __init__(self) -> None:
        self.exact: dict[str, int] = {}
        self.prefixes: dict[str, int] = {}
        self.others: dict[str, list[tuple[int, Matcher]]] = {}

    def add_exact(self, text: str, place: int) -> None:
        """Add the pattern that `text` alone matches."""
        self.exact.setdefault(text, place)

    def add_prefix(self, beginning: str, place: int) -> None:
        """Add the pattern that all matches that begins so."""
        self.prefixes.setdefault(beginning, place)

    def add_other(self, beginning: str, matcher: Matcher, place: int) -> None:
        """Add a pattern that nothing matches that does not begin so."""
        self.others.setdefault(beginning, []).append((place, matcher))


class Index:
    """Patterns with their places; immutable."""

    __slots__ = ("_beginnings", "_exact", "_others", "_parents", "_prefixes")

    def __init__(self, draft: Draft) -> None:
        self._exact = draft.exact
        self._prefixes = draft.prefixes
        self._others = draft.others
        self._beginnings = sorted(draft.prefixes.keys() | draft.others.keys())
        self._parents: list[int] = []
        """For each beginning, where the longest other stands that it begins with; -1 for nowhere."""
        for at, beginning in enumerate(self._beginnings):
            parent = at - 1
            while parent >= 0 and not beginning.startswith(self._beginnings[parent]):
                parent = self._parents[parent]
            self._parents.append(parent)

    def first(self, text: str) -> int:
        """Return the lowest place of a pattern that matches, or `NOWHERE`."""
        best = self._exact.get(text, NOWHERE)
        beginnings = self._beginnings
        # What `text` begins with sorts before it; of all that, the last begins with all the others.
        at = bisect_right(beginnings, text) - 1
        while at >= 0:
            beginning = beginnings[at]
            if text.startswith(beginning):
                place = self._prefixes.get(beginning, NOWHERE)
                if place < best:
                    best = place
                for place, matcher in self._others.get(beginning, ()):
                    if place < best and matcher.matches(text):
                        best = place
            at = self._parents[at]
        return best
