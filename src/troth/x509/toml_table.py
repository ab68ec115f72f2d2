"""A TOML table read key by key, so that each complaint names its place and nothing unknown is left.

Knows no document: whoever reads one, as `troth.x509.profile_text` does, says which keys there are.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from troth.clock import parse_duration
from troth.errors import Fault, Kind

_Word = TypeVar("_Word", bound=StrEnum)
_T = TypeVar("_T")
_MISSING: Final = object()


def require(holds: bool, place: str, what: str, hint: str | None = None, *, document: str = "profile") -> None:
    """Raise `Fault` (malformed) that names the document's kind and the place, unless it holds."""
    if not holds:
        raise Fault(Kind.MALFORMED, f"{document}: {place}: {what}", hint=hint)


class TomlTable:
    """A TOML table that is read key by key; what is left at the end was not known. All raise `Fault` (malformed)."""

    def __init__(self, content: Mapping[str, object], place: str = "", *, document: str = "profile") -> None:
        """`document` is what complaints call the whole."""
        self._content = dict(content)
        self._document = document
        self._known: list[str] = []
        self._place = place

    def __contains__(self, key: str) -> bool:
        self._known.append(key)
        return key in self._content

    def text(self, key: str, default: object = _MISSING) -> str:
        """Return a text."""
        return self._take(key, str, "text", default)

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        return self._take(key, bool, "true or false", default)

    def number(self, key: str, default: object = _MISSING) -> int:
        """Return a whole number."""
        return self._take(key, int, "a whole number", default)

    def table(self, key: str) -> "TomlTable | None":
        """Return the table below this one, or None."""
        self._known.append(key)
        if key not in self._content:
            return None
        return TomlTable(self._take(key, dict, "a table"), f"{self._place}{key}.", document=self._document)

    def word(self, key: str, words: type[_Word], default: object = _MISSING) -> _Word:
        """Return one of `words`."""
        return self._word(key, self.text(key, default), words)

    def word_or(self, key: str, words: type[_Word], other: str) -> _Word | None:
        """Return one of `words`, or None where the text is `other`."""
        text = self.text(key)
        return None if text == other else self._word(key, text, words, other)

    def words(self, key: str, words: type[_Word], default: object = _MISSING) -> tuple[_Word, ...]:
        """Return a list of `words`, none of them twice."""
        texts: list[object] = list(self._take(key, list, "a list", default))
        found = tuple(self._word(key, text, words) for text in texts)
        self._require(len(set(found)) == len(found), key, "repeats a word")
        return found

    def texts(self, key: str, default: object = _MISSING) -> tuple[str, ...]:
        """Return a list of texts."""
        found: list[object] = list(self._take(key, list, "a list", default))
        for text in found:
            self._require(isinstance(text, str), key, f"{str(text)[:40]!r} is not text")
        return tuple(str(text) for text in found)

    def all_texts(self) -> dict[str, str]:
        """Return all that is in the table, each a text, under keys of its own choice."""
        return {key: self.text(key) for key in list(self._content)}

    def duration(self, key: str, default: object = _MISSING) -> timedelta:
        """Return a duration, as ``15m`` or ``90d``."""
        text = self._take(key, str, "a duration", default)
        try:
            return parse_duration(text)
        except Fault as fault:
            raise Fault(fault.kind, f"{self._document}: {self._place}{key}: {fault.message}", hint=fault.hint) from fault

    def finish(self) -> None:
        """Refuse what has not been read."""
        for key in self._content:
            known = f"the keys here are {', '.join(dict.fromkeys(self._known))}"
            self._require(False, key[:40], "unknown key", known)

    def _require(self, holds: bool, key: str, what: str, hint: str | None = None) -> None:
        require(holds, self._place + key, what, hint, document=self._document)

    def _take(self, key: str, kind: type[_T], what: str, default: object = _MISSING) -> _T:
        self._known.append(key)
        value = self._content.pop(key, default)
        self._require(value is not _MISSING, key, "is missing")
        if isinstance(value, tuple):
            value = list(value)
        # bool is an int to Python and not to TOML
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Fault(Kind.MALFORMED, f"{self._document}: {self._place}{key}: must be {what}")
        return value

    def _word(self, key: str, text: object, words: type[_Word], *others: str) -> _Word:
        if not isinstance(text, str) or text not in set(words):
            raise Fault(
                Kind.MALFORMED,
                f"{self._document}: {self._place}{key}: {str(text)[:40]!r} is not known",
                hint=f"use one of {', '.join((*words, *others))}",
            )
        return words(text)
