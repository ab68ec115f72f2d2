"""The JSON of a policy document, element by element, each with the place where it stands.

Knows the shapes and not the words (`troth.policy.document`). What cannot be read is a `Fault` (malformed).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NoReturn

from troth.errors import Fault, Kind

_SHOWN_CHARS: Final = 60
_WHOLE: Final = "the document"


class _Object:
    """A JSON object as it is written, so that a member given twice can be seen."""

    def __init__(self, members: list[tuple[str, object]]) -> None:
        self.members = members


class _Number(str):
    """A JSON number as it is written: policies compare its text."""

    __slots__ = ()


def refuse(place: str, problem: str, hint: str) -> NoReturn:
    """Raise the fault that says what is wrong where, and what to do about it."""
    raise Fault(Kind.MALFORMED, f"{place or _WHOLE}: {problem}", hint=hint)


def shown(text: str) -> str:
    """Return text from a document as a message shows it: quoted, cut, printable."""
    return ascii(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


def inside(place: str, name: str) -> str:
    """Return the place of the member `name` of what stands at `place`."""
    step = name if len(name) <= _SHOWN_CHARS and name.isascii() and name.isprintable() else shown(name)
    return f"{place}.{step}" if place else step


def parse_json(text: str) -> object:
    """Read JSON; nothing in it is lost: neither members given twice nor the digits of a number."""

    def refuse_constant(word: str) -> NoReturn:
        refuse("", f"{word} is not JSON", "write numbers in digits")

    try:
        text.encode()
        return json.loads(
            text,
            object_pairs_hook=_Object,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=refuse_constant,
        )
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        refuse("", problem, "check quotes, commas and brackets there")
    except UnicodeEncodeError:
        refuse("", "is not Unicode text", "save it as UTF-8")
    except RecursionError:
        refuse("", "is nested too deeply", "a policy document has five levels at most")


def members(value: object, place: str) -> dict[str, object]:
    """Return the members of an object."""
    if not isinstance(value, _Object):
        refuse(place, "is not an object", "write it in braces: {...}")
    found: dict[str, object] = {}
    for name, member in value.members:
        if name in found:
            refuse(inside(place, name), "is given twice", "keep one of them; several values go into one array")
        found[name] = member
    return found


def known_members(
    value: object, place: str, known: Iterable[str], remedies: Mapping[str, str], what: str = "an element of a policy"
) -> dict[str, object]:
    """Return the members of an object, all of which have known names; `remedies` are hints for well-known others.

    `what` says of what they are.
    """
    names = tuple(known)
    found = members(value, place)
    for name in found:
        if name not in names:
            refuse(inside(place, name), f"is not {what}", remedies.get(name) or suggest(name, names))
    return found


def items(value: object, place: str) -> list[tuple[object, str]]:
    """Return what stands alone or in an array, each with its place."""
    if isinstance(value, list):
        return [(item, f"{place}[{index}]") for index, item in enumerate(value)]
    return [(value, place)]


def string(value: object, place: str) -> str:
    """Return a string of Unicode text."""
    if not isinstance(value, str) or isinstance(value, _Number):
        refuse(place, "is not a string", 'write it in quotes: "..."')
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(place, "holds half of a surrogate pair", "write the character itself, or both halves")
    return value


def strings(value: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield the strings, one at least, that stand alone or in an array, each with its place."""
    found = items(value, place)
    if not found:
        refuse(place, "is an empty array", "name one thing at least, or leave the statement out")
    for item, where in found:
        yield string(item, where), where


def scalar(value: object, place: str) -> str:
    """Return the text of a string, a number or a boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, _Number) else string(value, place)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the hint for a word that is not known."""
    names = tuple(known)
    folded = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name[:_SHOWN_CHARS].lower(), folded, n=1)
    return f"did you mean {folded[near[0]]}?" if near else f"use one of {', '.join(names)}"
