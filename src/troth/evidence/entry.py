"""One entry of the journal and its bytes, the same for everyone who ever hashes them. Pure: no database, no clock.

The bytes are JSON with sorted keys, no white space, ASCII only. Their hash is a leaf of the journal's Merkle tree
(`troth.evidence.merkle`), and they name the tree's head as it was before: nothing can be changed alone.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64
from troth.evidence.merkle import EMPTY_ROOT, HASH_BYTES
from troth.limits import JOURNAL_ENTRY_BYTES_MAX

_FIELDS: Final = {"number", "at", "actor", "kind", "subject", "data", "why", "head"}
_SCALARS: Final = (str, int, bool, type(None))
_EXACT: Final = frozenset(_SCALARS)
_TIMES_KEPT: Final = 16


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no exact number")


# Made once: everyone who follows the journal reads every entry.
_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_decode: Final = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse).decode


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, when, by whom, to what, and why."""

    number: int
    """Its place, from 1, without gaps."""
    at: datetime
    """When the change was made, in UTC, to the microsecond."""
    actor: str
    """Who made it: ``operator:cli``, ``device:<thing>``, ``system:authority``…"""
    kind: str
    """``<noun>.<what happened>``, as ``certificate.revoked``."""
    subject: str
    """The name or id of the noun."""
    data: Mapping[str, Any]
    """What a follower needs to act on it: JSON values, no floats."""
    why: str = ""
    """The reason that the actor gave."""
    head: bytes = EMPTY_ROOT
    """The head of the Merkle tree over all entries before it; for the first, the empty tree's."""


def render_entry(entry: Entry) -> bytes:
    """Return the canonical bytes.

    Raises `Bug` for values that JSON cannot say exactly, `Fault` (too large) above `JOURNAL_ENTRY_BYTES_MAX`.
    """
    _require_exact(entry.data)
    value = {
        "number": entry.number,
        "at": _render_time(entry.at),
        "actor": entry.actor,
        "kind": entry.kind,
        "subject": entry.subject,
        "data": entry.data,
        "why": entry.why,
        "head": render_base64(entry.head),
    }
    body = _encode(value).encode("ascii")
    if len(body) > JOURNAL_ENTRY_BYTES_MAX:
        raise Fault(Kind.TOO_LARGE, f"a change may record at most {JOURNAL_ENTRY_BYTES_MAX} bytes", detail=entry.kind)
    return body


def parse_entry(body: bytes) -> Entry:
    """Return the entry that `render_entry` made these bytes of. Raises `PeerFault`: malformed, too large."""
    with _readable():
        value, entry = _read(body)
        if _encode(value) != body.decode("ascii") or _render_time(entry.at) != value["at"]:
            raise ValueError("not the canonical bytes")
    return entry


def read_entry(body: bytes) -> Entry:
    """Return what the bytes of an entry say, canonical or not: for who proves nothing by them. Raises as above."""
    with _readable():
        return _read(body)[1]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError, RecursionError, PeerFault) as error:
        if isinstance(error, PeerFault) and error.kind is Kind.TOO_LARGE:
            raise
        raise PeerFault(Kind.MALFORMED, "a journal entry cannot be read", detail=str(error)) from error


def _read(body: bytes) -> tuple[dict[str, Any], Entry]:
    if len(body) > JOURNAL_ENTRY_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a journal entry has at most {JOURNAL_ENTRY_BYTES_MAX} bytes")
    value = _decode(body.decode("ascii"))
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise ValueError("not the fields of an entry")
    texts = (value["at"], value["actor"], value["kind"], value["subject"], value["why"], value["head"])
    if type(value["number"]) is not int or type(value["data"]) is not dict or {*map(type, texts)} != {str}:
        raise ValueError("not the types of an entry")
    head = parse_base64(value["head"], "the head")
    if len(head) != HASH_BYTES:
        raise ValueError("not a hash of 32 bytes")
    return value, Entry(**{**value, "at": datetime.fromisoformat(value["at"]), "head": head})


# All entries of a change have one time.
@lru_cache(_TIMES_KEPT)
def _render_time(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _require_exact(value: object) -> None:
    parts: Iterable[object] = ()
    if isinstance(value, dict):
        parts = value.values()
        _require(all(isinstance(key, str) for key in value), value)
    elif isinstance(value, list | tuple):
        parts = value
    else:
        _require(isinstance(value, _SCALARS), value)
    for part in parts:
        # Nearly all parts are of these very types.
        if type(part) not in _EXACT:
            _require_exact(part)


def _require(exact: bool, value: object) -> None:
    if not exact:
        raise Bug(f"a journal entry cannot say {value!r}")
