"""Patterns compared with each other and with names that nobody has, without any request.

A variable counts as text that is like no other and the same wherever it stands. Comparisons err on the side of "no".
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from troth.policy.pattern import Glob, Pattern, Token, Variable, Wildcard, build_glob

ANYTHING: Final = "\ue010"
"""A name that nobody has: what matches it matches every name."""
_OPEN: Final = "\ue000"
_CLOSE: Final = "\ue001"
_FILL: Final = "\ue002"
_ONE: Final = "\ue003"
_STARS_VARIED_MAX: Final = 4
_NOTHING: Final[Mapping[str, str]] = {}


def glob_of(tokens: Iterable[Token], values: Mapping[str, str] = _NOTHING) -> Glob:
    """Return a pattern ready to match texts; `values` are those of variables, by folded name."""
    return build_glob(
        values.get(token.name, _placeholder(token)) if isinstance(token, Variable) else token for token in tokens
    )


def matches(tokens: Iterable[Token], text: str, values: Mapping[str, str] = _NOTHING) -> bool:
    """Say whether a pattern matches; `values` are those of variables, by folded name."""
    return glob_of(tokens, values).matches(text)


class Covered:
    """A pattern of which it is asked whether another one covers it."""

    __slots__ = ("_texts", "_tokens")

    def __init__(self, pattern: Pattern) -> None:
        self._tokens = pattern.tokens
        self._texts: dict[int, tuple[str, ...]] = {}

    def texts(self, length: int) -> tuple[str, ...]:
        """Return texts that it matches, with `length` characters or none for each ``*``.

        What matches all of them and has fewer ``?`` than `length` covers the pattern, but for contrived ones with
        many ``*``.
        """
        if length not in self._texts:
            self._texts[length] = tuple(_specimens(self._tokens, _FILL * length))
        return self._texts[length]


class Cover:
    """A pattern of which it is asked what others it covers, whatever values variables have."""

    __slots__ = ("_glob", "_length")

    def __init__(self, pattern: Pattern) -> None:
        self._glob = glob_of(pattern.tokens)
        self._length = sum(token is Wildcard.ONE for token in pattern.tokens) + 1

    def covers(self, other: Covered) -> bool:
        """Say whether all that `other` matches is matched by this one as well."""
        return all(self._glob.matches(text) for text in other.texts(self._length))


def covers(wider: Pattern, narrower: Pattern) -> bool:
    """Say whether all that `narrower` matches is matched by `wider` as well, whatever values variables have."""
    return Cover(wider).covers(Covered(narrower))


def can_begin(tokens: Iterable[Token], prefix: str) -> bool:
    """Say whether a pattern can match a text that begins with `prefix`."""
    left = prefix
    for token in tokens:
        if not left or token is Wildcard.MANY or isinstance(token, Variable):
            return True
        if isinstance(token, str):
            if not (left.startswith(token) or token.startswith(left)):
                return False
            left = left[len(token) :]
        else:
            left = left[1:]
    return not left


def text_of(tokens: Iterable[Token], star: str) -> str:
    """Return a text that a pattern matches, with `star` for each ``*``."""
    return "".join(_symbol(token, star) for token in tokens)


def readable(text: str) -> str:
    """Return a text of `text_of` as people can read it, with variables as they are written."""
    return text.translate({ord(_OPEN): None, ord(_CLOSE): None, ord(ANYTHING): "*", ord(_FILL): "*", ord(_ONE): "?"})


def _specimens(tokens: Iterable[Token], fill: str) -> Iterator[str]:
    """Yield texts that a pattern matches such that whatever covers all of them is likely to cover the pattern."""
    kept = tuple(tokens)
    yield text_of(kept, "")
    yield text_of(kept, fill)
    stars = [place for place, token in enumerate(kept) if token is Wildcard.MANY]
    if 1 < len(stars) <= _STARS_VARIED_MAX:
        for odd in stars:
            for one, others in (("", fill), (fill, "")):
                yield "".join(_symbol(token, one if place == odd else others) for place, token in enumerate(kept))


def _symbol(token: Token, star: str) -> str:
    if isinstance(token, str):
        return token
    if isinstance(token, Variable):
        return _placeholder(token)
    return star if token is Wildcard.MANY else _ONE


def _placeholder(variable: Variable) -> str:
    return f"{_OPEN}${{{variable.name}}}{_CLOSE}"
