"""What is to be issued, read line by line from CSV or JSON lines; a bad line is told, and stops no other."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from troth.authority.issue import Wanted
from troth.errors import Fault, Kind
from troth.keys.files import read_bounded
from troth.limits import CSR_BYTES_MAX
from troth.x509.requests import parse_request

METHOD: Final = "operator"
COLUMNS: Final = ("csr", "thing", "name", "names")
_LINE_CHARS_MAX: Final = 4 * CSR_BYTES_MAX
_PEM: Final = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class Line:
    """One line: where it stands, and what it wants or why it cannot be read."""

    number: int
    """From 1; a CSV's header is the first."""
    wanted: Wanted | Fault


def read_lines(file: TextIO, folder: Path, *, is_csv: bool, profile: str) -> Iterator[Line]:
    """Yield the lines of a file; `folder` is where requests that are named by a path stand.

    Raises `Fault` (malformed) for a CSV without the columns.
    """
    rows = _csv_rows(file) if is_csv else _json_rows(file)
    for number, row in rows:
        yield Line(number, row if isinstance(row, Fault) else _wanted(row, folder, profile, number))


def read_request(file: Path) -> bytes:
    """Return what is in a request's file. Raises `Fault`: not found, too large."""
    return read_bounded(file, 2 * CSR_BYTES_MAX)


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Mapping[str, object] | Fault]]:
    reader = csv.DictReader(_bounded(file), strict=True)
    if not {"csr"} <= set(reader.fieldnames or ()) <= set(COLUMNS):
        raise Fault(Kind.MALFORMED, "the first line does not name the columns", hint=f"use some of {','.join(COLUMNS)}")
    try:
        for row in reader:
            values = {key: value for key, value in row.items() if value}
            names = values.pop("names", None)
            yield reader.line_num, values | ({"names": names.split(";")} if names else {})
    except csv.Error as error:
        raise Fault(Kind.MALFORMED, f"line {reader.line_num} is no CSV", detail=str(error)) from error


def _json_rows(file: TextIO) -> Iterator[tuple[int, Mapping[str, object] | Fault]]:
    for number, line in enumerate(_bounded(file), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield number, value
        else:
            yield number, Fault(Kind.MALFORMED, "this is no JSON object")


def _bounded(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LINE_CHARS_MAX + 1):
        if len(line) > _LINE_CHARS_MAX:
            raise Fault(Kind.TOO_LARGE, f"a line has more than {_LINE_CHARS_MAX} characters")
        yield line


def _wanted(row: Mapping[str, object], folder: Path, profile: str, number: int) -> Wanted | Fault:
    try:
        match {"thing": None, "name": None, "names": [], **row}:
            case {"csr": str(csr), "thing": thing, "name": name, "names": list(names), **rest} if not rest:
                return wish(_request(csr, folder), profile, thing, name, names, {"line": number})
        raise Fault(Kind.MALFORMED, f"a line has {', '.join(COLUMNS)} and nothing else")
    except Fault as fault:
        return fault


def wish(
    csr: bytes, profile: str, thing: object, name: object, names: Sequence[object], proof: Mapping[str, object]
) -> Wanted:
    """Return what is wanted. Raises `Fault`: malformed, and as `parse_request` does."""
    if not isinstance(thing, str | None) or not isinstance(name, str | None) or (thing is None) == (name is None):
        raise Fault(Kind.MALFORMED, "a certificate is for a thing or for a name", hint="say which of the two")
    texts = tuple(each for each in names if isinstance(each, str))
    if len(texts) != len(names):
        raise Fault(Kind.MALFORMED, "an alternative name is a text")
    return Wanted(profile, parse_request(csr), METHOD, proof, thing=thing, name=name, alternative_names=texts)


def _request(csr: str, folder: Path) -> bytes:
    return csr.encode() if csr.startswith(_PEM) else read_request(folder / csr)
