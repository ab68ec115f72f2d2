"""Values of a provisioning template: texts, and functions that come to texts. AWS IoT's intrinsic functions.

`parse_value` reads one, saying where what is wrong stands; `evaluate` works it out, within bounds. Pure.
AWS IoT developer guide, "Provisioning templates".
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from troth.errors import Fault, Kind
from troth.limits import TEMPLATE_DEPTH_MAX, TEMPLATE_VALUE_CHARS_MAX
from troth.policy.elements import inside, members, refuse, shown, string, suggest

PSEUDO: Final = "AWS::IoT::Certificate::"
"""How the parameters begin that are the server's to give."""

Mappings = Mapping[str, Mapping[str, Mapping[str, "str | tuple[str, ...]"]]]
Worked = str | tuple[str, ...]
"""What a value comes to."""

_VARIABLE: Final = re.compile(r"\$\{([^${}]*)\}")


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Join:
    """Texts joined by a delimiter."""

    delimiter: str
    parts: "Value"


@dataclass(frozen=True, slots=True)
class Select:
    """One of several texts, counted from 0."""

    index: "Value"
    choices: "Value"


@dataclass(frozen=True, slots=True)
class FindInMap:
    """A value out of ``Mappings``."""

    name: "Value"
    first: "Value"
    second: "Value"


@dataclass(frozen=True, slots=True)
class Split:
    """A text cut at every delimiter."""

    delimiter: str
    text: "Value"


@dataclass(frozen=True, slots=True)
class Sub:
    """A text with ``${NAME}`` in it; ``${!NAME}`` stands for ``${NAME}`` itself."""

    text: str
    variables: Mapping[str, "Value"]


Value = str | tuple["Value", ...] | Ref | Join | Select | FindInMap | Split | Sub


def parse_value(value: object, place: str, depth: int = TEMPLATE_DEPTH_MAX) -> Value:
    """Read a text, an array or a function. Raises `Fault` (malformed), with the place and a remedy."""
    if depth == 0:
        refuse(place, f"functions lie more than {TEMPLATE_DEPTH_MAX} deep", "compute it in fewer steps")
    if isinstance(value, list):
        return tuple(parse_value(each, f"{place}[{at}]", depth - 1) for at, each in enumerate(value))
    if isinstance(value, str):
        return string(value, place)
    found = members(value, place)
    if len(found) != 1:
        refuse(place, "is neither a text nor one function", 'write "text", or {"Ref": "NAME"}')
    ((name, argument),) = found.items()
    return _function(name, argument, inside(place, name), depth - 1)


def parse_text(value: object, place: str) -> Value:
    """Read a value that is a text once it is worked out. Raises `Fault` (malformed)."""
    found = parse_value(value, place)
    if isinstance(found, tuple | Split):
        refuse(place, "is a list where one text belongs", "choose one of them with Fn::Select")
    return found


def refs(value: Value, *, as_keys: bool = True) -> Iterator[str]:
    """Yield the names of parameters that a value reads; without `as_keys`, not those that choose in ``Mappings``."""
    match value:
        case Ref():
            yield value.name
        case Sub():
            yield from (name for name in _names(value.text) if name not in value.variables)
        case FindInMap() if not as_keys:
            return
    for each in parts(value):
        yield from refs(each, as_keys=as_keys)


def parts(value: Value) -> Sequence[Value]:
    """Return the values that a value is made of."""
    match value:
        case tuple():
            return value
        case Join():
            return (value.parts,)
        case Select():
            return (value.index, value.choices)
        case FindInMap():
            return (value.name, value.first, value.second)
        case Split():
            return (value.text,)
        case Sub():
            return tuple(value.variables.values())
        case _:
            return ()


def evaluate(value: Value, parameters: Mapping[str, str], mappings: Mappings) -> Worked:
    """Return what a value comes to.

    Raises `Fault`: rejected for what cannot be worked out with these parameters, too large above
    `TEMPLATE_VALUE_CHARS_MAX`.
    """

    def text(inner: Value) -> str:
        return evaluate_text(inner, parameters, mappings)

    def texts(inner: Value) -> tuple[str, ...]:
        found = evaluate(inner, parameters, mappings)
        if isinstance(found, str):
            raise _rejected("a text stands where the template needs a list")
        return found

    match value:
        case str():
            return value
        case tuple():
            return tuple(_bounded(text(each) for each in value))
        case Ref():
            return _parameter(value.name, parameters)
        case Join():
            return "".join(_bounded(_joined(value.delimiter, texts(value.parts))))
        case Select():
            return _select(text(value.index), texts(value.choices))
        case FindInMap():
            return _find(mappings, text(value.name), text(value.first), text(value.second))
        case Split():
            return tuple(text(value.text).split(value.delimiter))
        case Sub():
            known = {name: text(each) for name, each in value.variables.items()}
            return "".join(_bounded(_substituted(value.text, known, parameters)))


def _bounded(pieces: Iterable[str]) -> Iterator[str]:
    left = TEMPLATE_VALUE_CHARS_MAX
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise Fault(Kind.TOO_LARGE, f"a value comes to more than {TEMPLATE_VALUE_CHARS_MAX} characters")
        yield piece


def _joined(delimiter: str, texts: tuple[str, ...]) -> Iterator[str]:
    for at, text in enumerate(texts):
        if at:
            yield delimiter
        yield text


def _substituted(text: str, known: Mapping[str, str], parameters: Mapping[str, str]) -> Iterator[str]:
    at = 0
    for found in _VARIABLE.finditer(text):
        yield text[at : found.start()]
        yield _variable(found[1], known, parameters)
        at = found.end()
    yield text[at:]


def evaluate_text(value: Value, parameters: Mapping[str, str], mappings: Mappings) -> str:
    """Return the text that a value comes to. Raises `Fault` as `evaluate` does, and rejected for a list."""
    found = evaluate(value, parameters, mappings)
    if not isinstance(found, str):
        raise _rejected("a list stands where the template needs one text")
    return found


def _variable(name: str, known: Mapping[str, str], parameters: Mapping[str, str]) -> str:
    if name.startswith("!"):
        return f"${{{name[1:]}}}"
    return known[name] if name in known else _parameter(name, parameters)


def _parameter(name: str, parameters: Mapping[str, str]) -> str:
    value = parameters.get(name)
    if value is None:
        raise _rejected(f"parameter {name[:60]!r} has no value")
    return value


def _select(index: str, choices: tuple[str, ...]) -> str:
    if not (index.isascii() and index.isdigit() and len(index) < 5 and int(index) < len(choices)):
        raise _rejected(f"there is no number {index[:20]!r} of {len(choices)} choices")
    return choices[int(index)]


def _find(mappings: Mappings, name: str, first: str, second: str) -> Worked:
    found = mappings.get(name, {}).get(first, {}).get(second)
    if found is None:
        raise _rejected(f"Mappings has nothing at {name[:40]!r}, {first[:40]!r}, {second[:40]!r}")
    return found


def _rejected(message: str) -> Fault:
    return Fault(Kind.REJECTED, message)


def _function(name: str, argument: object, place: str, depth: int) -> Value:
    if name not in _FUNCTIONS:
        refuse(place, f"{shown(name)} is no function", suggest(name, _FUNCTIONS))
    match name:
        case "Ref":
            return Ref(string(argument, place))
        case "Fn::Join":
            delimiter, inner = _arguments(argument, place, 2, '["-", ["a", "b"]]')
            return Join(string(delimiter, f"{place}[0]"), _list(inner, f"{place}[1]", depth))
        case "Fn::Select":
            index, inner = _arguments(argument, place, 2, '["0", ["a", "b"]]')
            return Select(parse_value(index, f"{place}[0]", depth), _list(inner, f"{place}[1]", depth))
        case "Fn::FindInMap":
            found = _arguments(argument, place, 3, '["MAP", "KEY", "KEY"]')
            first, second, third = (parse_value(each, f"{place}[{at}]", depth) for at, each in enumerate(found))
            return FindInMap(first, second, third)
        case "Fn::Split":
            delimiter, inner = _arguments(argument, place, 2, '["-", "a-b"]')
            text = string(delimiter, f"{place}[0]")
            if not text:
                refuse(f"{place}[0]", "is an empty delimiter", 'name what to cut at, such as "-"')
            return Split(text, parse_value(inner, f"{place}[1]", depth))
        case _:
            return _sub(argument, place, depth)


_FUNCTIONS: Final = ("Ref", "Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Split", "Fn::Sub")


def _arguments(argument: object, place: str, count: int, example: str) -> list[object]:
    if not isinstance(argument, list) or len(argument) != count:
        refuse(place, f"does not have {count} arguments", f"write {example}")
    return argument


def _list(value: object, place: str, depth: int) -> Value:
    found = parse_value(value, place, depth)
    if isinstance(found, str | Join | Select | Sub):
        refuse(place, "is one text where a list belongs", 'write ["a", "b"]')
    return found


def _sub(argument: object, place: str, depth: int) -> Sub:
    variables: dict[str, Value] = {}
    if isinstance(argument, list):
        text, more = _arguments(argument, place, 2, '["a ${B}", {"B": "text"}]')
        for name, value in members(more, f"{place}[1]").items():
            variables[name] = parse_value(value, inside(f"{place}[1]", name), depth)
        found = Sub(string(text, f"{place}[0]"), variables)
    else:
        found = Sub(string(argument, place), variables)
    if "${" in _VARIABLE.sub("", found.text):
        refuse(place, "holds a ${ without its }", "write ${NAME}; ${!NAME} stands for ${NAME} itself")
    return found


def _names(text: str) -> Iterator[str]:
    return (name for name in _VARIABLE.findall(text) if not name.startswith("!"))
