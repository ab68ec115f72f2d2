"""What is nearly right about a pattern that does not match: the mistakes that people make, named.

Compares texts and knows no statement. AWS IoT developer guide, "Publish/Subscribe policy examples".
"""

from collections.abc import Iterable, Iterator
from typing import Final

from troth.policy.pattern import Glob, Wildcard, build_glob
from troth.policy.showing import shown

_MANY: Final = "\U000f0000"
"""Stands for ``*`` while a pattern is handled as text."""
_ONE: Final = "\U000f0001"
_SYMBOLS: Final = {Wildcard.MANY: _MANY, Wildcard.ONE: _ONE}
_WILDCARDS: Final = {symbol: wildcard for wildcard, symbol in _SYMBOLS.items()}
_PARTS: Final = ("", "partition", "service", "region", "account")
_TYPES: Final = frozenset({"client", "topic", "topicfilter", "thing", "rolealias"})


def near_misses(tokens: Iterable[str | Wildcard], arn: str) -> Iterator[str]:
    """Yield in words why a pattern that does not match `arn` may have been meant to."""
    text = "".join(token if isinstance(token, str) else _SYMBOLS[token] for token in tokens)
    parts, asked = text.split(":", 5), arn.split(":", 5)
    if len(parts) != len(asked) or len(parts) != len(_PARTS) + 1:
        return
    other = [place for place in range(1, len(_PARTS)) if not _glob(parts[place]).matches(asked[place])]
    for place in other:
        yield f"it is for {_PARTS[place]} {_readable(parts[place])}, and the request is for {shown(asked[place])}"
    if not other:
        yield from _near_names(parts[5], asked[5])


def _near_names(name: str, asked: str) -> Iterator[str]:
    kind, asked_kind = name.partition("/")[0], asked.partition("/")[0]
    if kind in _TYPES and kind != asked_kind:
        yield f"it is about a {kind}, and the request is about a {asked_kind}"
    elif _glob(name.lower()).matches(asked.lower()):
        yield "it differs in case alone, and case counts"
    elif _glob(_as_filter(name)).matches(asked):
        yield "'+' and '#' are ordinary characters in a policy; '*' is what stands for others"
    elif asked.startswith(f"{name}/"):
        yield "it has no wildcard, so that what is below it is not covered"
    elif name == f"{asked}/{_MANY}":
        yield "what is below it is covered, and it itself is not"


def _as_filter(name: str) -> str:
    """Return a pattern as it would be if MQTT's wildcards were wildcards in a policy."""
    first, *levels = name.split("/")
    meant = [_MANY if level == "+" else level for level in levels]
    if meant and meant[-1] == "#":
        meant[-1] = _MANY
    return "/".join([first, *meant])


def _glob(text: str) -> Glob:
    return build_glob(_WILDCARDS.get(character, character) for character in text)


def _readable(text: str) -> str:
    return shown("".join(_WILDCARDS[character].value if character in _WILDCARDS else character for character in text))
