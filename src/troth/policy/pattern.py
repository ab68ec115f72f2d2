"""Text with wildcards and policy variables, and its matching in time linear in the text for all that people write.

Knows no document and no context: what a variable stands for is asked of a function that is passed in. AWS IAM user
guide, "Wildcards in resource ARNs" and "Variables and tags"; AWS IoT, "X.509 certificate policy variables".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from troth.limits import SUBSTITUTED_CHARS_MAX

Lookup = Callable[[str], str | None]
"""From the folded name of a variable to its value; None where it has none."""


class Wildcard(Enum):
    """The two characters that stand for others, anywhere and also for ``/``."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """``${name}`` in a document of version 2012-10-17."""

    name: str
    text: str
    """As it is written, braces included."""


Token = str | Wildcard | Variable

_CONSTANTS: Final = frozenset("*?$")
_GUARDED_PREFIX: Final = "iot:certificate"
_GUARDED_CHARACTERS: Final = frozenset("*$+?#")


def fold(name: str) -> str:
    """Return the name of a key or variable as it is compared: case does not count, but for what stands in brackets."""
    head, bracket, attribute = name.partition("[")
    return head.lower() + bracket + attribute


def scan(text: str, *, variables: bool, wildcards: bool = True) -> tuple[Token, ...]:
    """Split `text` into literal text, wildcards and variables, as far as these are recognised.

    ``${*}``, ``${?}`` and ``${$}`` are the characters themselves. Raises `ValueError` on ``${`` without an end.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        if variables and text.startswith("${", position):
            end = text.find("}", position)
            if end < 0:
                raise ValueError("has a '${' that is never closed")
            name = text[position + 2 : end]
            tokens.append(name if name in _CONSTANTS else Variable(fold(name), text[position : end + 1]))
            position = end + 1
        elif wildcards and text[position] in "*?":
            tokens.append(Wildcard(text[position]))
            position += 1
        else:
            end = _literal_end(text, position + 1, wildcards)
            tokens.append(text[position:end])
            position = end
    return tuple(tokens)


def _literal_end(text: str, position: int, wildcards: bool) -> int:
    while position < len(text) and text[position] != "$" and not (wildcards and text[position] in "*?"):
        position += 1
    return position


class Run(NamedTuple):
    """What stands between two ``*``: `length` characters, of which `pieces` are given and the others are ``?``."""

    length: int
    pieces: tuple[tuple[int, str], ...]
    """Offset and text; no two touch."""

    def stands_at(self, text: str, start: int) -> bool:
        """Say whether the run matches `text` from `start`; the caller has seen to it that `text` is long enough."""
        for offset, piece in self.pieces:  # noqa: SIM110 - a generator would cost more than the comparison
            if not text.startswith(piece, start + offset):
                return False
        return True

    def find(self, text: str, start: int, end: int) -> int:
        """Return where the run first matches within ``text[start:end]``, or -1."""
        if not self.pieces:
            return start if start + self.length <= end else -1
        if len(self.pieces) == 1 and len(self.pieces[0][1]) == self.length:
            return text.find(self.pieces[0][1], start, end)
        return self._find_with_gaps(text, start, end)

    def _find_with_gaps(self, text: str, start: int, end: int) -> int:
        # Shift-And: bit n of `state` says that the run's first n + 1 characters match those before `position`. One
        # step per character of text whatever the run, where trying each place in turn would be a step per pair.
        anything = (1 << self.length) - 1
        masks: dict[str, int] = {}
        for offset, piece in self.pieces:
            anything &= ~(((1 << len(piece)) - 1) << offset)
        for offset, piece in self.pieces:
            for place, character in enumerate(piece, offset):
                masks[character] = masks.get(character, anything) | 1 << place
        state, done = 0, 1 << (self.length - 1)
        for position in range(start, end):
            state = (state << 1 | 1) & masks.get(text[position], anything)
            if state & done:
                return position + 1 - self.length
        return -1


class Glob(NamedTuple):
    """A pattern whose variables have been substituted."""

    head: Run
    middle: tuple[Run, ...]
    tail: Run | None
    """None where the pattern has no ``*``: then `head` is all of it."""
    length_min: int
    literal: str | None
    """The one text that matches, where there are no wildcards."""

    @property
    def beginning(self) -> str:
        """The text that all begins with that matches."""
        offset, text = self.head.pieces[0] if self.head.pieces else (0, "")
        return text if offset == 0 else ""

    def matches(self, text: str) -> bool:
        """Say whether the whole of `text` matches, case-sensitively."""
        if len(text) < self.length_min or not self.head.stands_at(text, 0):
            return False
        if self.tail is None:
            return len(text) == self.length_min
        end = len(text) - self.tail.length
        if not self.tail.stands_at(text, end):
            return False
        position = self.head.length
        # The first place where a run fits leaves the most text for the next, so there is no need to come back.
        for run in self.middle:
            position = run.find(text, position, end)
            if position < 0:
                return False
            position += run.length
        return True


def build_glob(tokens: Iterable[str | Wildcard]) -> Glob:
    """Return the pattern that the tokens make."""
    parts: list[list[str | Wildcard]] = [[]]
    many = Wildcard.MANY  # looking it up costs more than the comparison
    for token in tokens:
        if token is many:
            parts.append([])
        else:
            parts[-1].append(token)
    runs = [_build_run(part) for part in parts]
    head, rest = runs[0], runs[1:]
    return Glob(
        head=head,
        middle=tuple(run for run in rest[:-1] if run.length),
        tail=rest[-1] if rest else None,
        length_min=sum(run.length for run in runs),
        literal=None if rest else _only_text(head),
    )


def parse_glob(text: str) -> Glob:
    """Return the pattern that `text` is where there are no variables."""
    return build_glob(token for token in scan(text, variables=False) if not isinstance(token, Variable))


def _build_run(tokens: Sequence[str | Wildcard]) -> Run:
    pieces: list[tuple[int, str]] = []
    length = 0
    literal = ""
    for token in tokens:
        if isinstance(token, str):
            literal += token
            continue
        if literal:
            pieces.append((length, literal))
        length += len(literal) + 1
        literal = ""
    if literal:
        pieces.append((length, literal))
    return Run(length + len(literal), tuple(pieces))


def _only_text(run: Run) -> str | None:
    text = "".join(piece for _, piece in run.pieces)
    return text if len(text) == run.length else None


class Shape(Enum):
    """How the texts that match a pattern can be found. Substituted text is literal, and so makes no difference."""

    EXACT = "one text"
    PREFIX = "all that begins with a text"
    OTHER = "whatever"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as it stands in a document; shared by everybody to whom the document applies."""

    tokens: tuple[Token, ...]
    shape: Shape
    beginning: tuple[tuple[str, Variable], ...]
    """The variables before the first wildcard, each with the text in front of it."""
    beginning_end: str
    """The text between them and the first wildcard."""
    fixed: Glob | None
    """What it always is, where it has no variables."""

    def resolve(self, lookup: Lookup) -> Glob | None:
        """Return the pattern with its variables substituted; None where one has no value, so that nothing matches.

        Substituted text is literal. A certificate attribute that could pass for a wildcard, of policy or of MQTT, or
        that is too long, is not substituted: the variable's own text stays, as on AWS.
        """
        if self.fixed is not None:
            return self.fixed
        tokens: list[str | Wildcard] = []
        for token in self.tokens:
            text = _substitute(token, lookup) if isinstance(token, Variable) else token
            if text is None:
                return None
            tokens.append(text)
        return build_glob(tokens)

    def resolve_beginning(self, lookup: Lookup) -> str | None:
        """Return what stands before the first wildcard as `resolve` does: all that is to know of an exact or prefix."""
        found = ""
        for text, variable in self.beginning:
            value = _substitute(variable, lookup)
            if value is None:
                return None
            found += text + value
        return found + self.beginning_end

    @property
    def variables(self) -> frozenset[str]:
        """The folded names of its variables."""
        return frozenset(token.name for token in self.tokens if isinstance(token, Variable))


def build_pattern(tokens: Iterable[Token]) -> Pattern:
    """Return the pattern that the tokens make."""
    kept = tuple(tokens)
    constant = [token for token in kept if not isinstance(token, Variable)]
    beginning: list[tuple[str, Variable]] = []
    text = ""
    rest: tuple[Token, ...] = ()
    for place, token in enumerate(kept):
        if isinstance(token, Wildcard):
            rest = kept[place:]
            break
        if isinstance(token, Variable):
            beginning.append((text, token))
            text = ""
        else:
            text += token
    return Pattern(
        tokens=kept,
        shape=Shape.EXACT if not rest else Shape.PREFIX if rest == (Wildcard.MANY,) else Shape.OTHER,
        beginning=tuple(beginning),
        beginning_end=text,
        fixed=build_glob(constant) if len(constant) == len(kept) else None,
    )


def parse_resource(text: str, *, variables: bool) -> Pattern:
    """Return the pattern of an ARN, or of ``*``: variables are recognised behind its fifth colon only.

    Raises `ValueError` on ``${`` without an end.
    """
    *head, name = text.split(":", 5)
    start = "".join(f"{part}:" for part in head)
    return build_pattern((*scan(start, variables=False), *scan(name, variables=variables and len(head) == 5)))


def _substitute(variable: Variable, lookup: Lookup) -> str | None:
    value = lookup(variable.name)
    if value is None or not variable.name.startswith(_GUARDED_PREFIX):
        return value
    unsafe = len(value) > SUBSTITUTED_CHARS_MAX or not _GUARDED_CHARACTERS.isdisjoint(value)
    return variable.text if unsafe else value
