"""The journal in one file: its key, its checkpoints, and every entry's bytes with the hash that was stored for them.

Lines of ASCII. What is read is not yet verified; `troth.evidence.audit` does that. Any bytes are read to values or a
`PeerFault`, line by line, so that an export of any length takes the memory of one line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from troth.errors import Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64
from troth.evidence.checkpoint import SignedCheckpoint, VerifierKey, parse_checkpoint, parse_verifier_key
from troth.evidence.merkle import HASH_BYTES
from troth.limits import CHECKPOINTS_KEPT_MAX, JOURNAL_ENTRY_BYTES_MAX, NOTE_BYTES_MAX

FIRST_LINE: Final = b"troth-journal-export 1\n"
LINE_BYTES_MAX: Final = 2 * max(JOURNAL_ENTRY_BYTES_MAX, NOTE_BYTES_MAX)

ReadLine = Callable[[int], bytes]
"""Returns the next line with its end, of at most so many bytes; nothing at the end of the file."""


@dataclass(frozen=True, slots=True)
class ExportHead:
    """What an export says of itself before its entries."""

    key: VerifierKey
    """The key that the log says is its own: take it from elsewhere where that matters."""
    size: int
    """How many entries the log said it has."""
    checkpoints: tuple[SignedCheckpoint, ...]


def render_head(key: VerifierKey, size: int, notes: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines before the entries."""
    yield FIRST_LINE
    yield f"key {key.render()}\n".encode()
    yield f"size {size}\n".encode()
    for note in notes:
        yield f"checkpoint {render_base64(note)}\n".encode()


def render_row(body: bytes, leaf: bytes) -> bytes:
    """Return the line of an entry: the leaf hash that is stored for it, and its bytes, whatever they are.

    Bytes that would not stay in their line are told as base64, which no entry begins with.
    """
    shown = body if body.isascii() and b"\n" not in body and body.startswith(b"{") else b"=" + _encoded(body)
    return b"entry " + _encoded(leaf) + b" " + shown + b"\n"


def render_end(count: int) -> bytes:
    """Return the last line: how many entries there were."""
    return f"end {count}\n".encode()


def read_head(read_line: ReadLine) -> tuple[ExportHead, bytes]:
    """Return the head and the first line after it. Raises `PeerFault`: malformed, too large."""
    if _line(read_line) != FIRST_LINE:
        raise _malformed("it does not begin as one of this version does")
    key = parse_verifier_key(_rest(_line(read_line), "key"))
    size = _number(_rest(_line(read_line), "size"))
    checkpoints: list[SignedCheckpoint] = []
    line = _line(read_line)
    while line.startswith(b"checkpoint "):
        if len(checkpoints) >= CHECKPOINTS_KEPT_MAX:
            raise PeerFault(Kind.TOO_LARGE, f"an export has at most {CHECKPOINTS_KEPT_MAX} checkpoints")
        checkpoints.append(parse_checkpoint(parse_base64(_rest(line, "checkpoint"), "a checkpoint")))
        line = _line(read_line)
    return ExportHead(key, size, tuple(checkpoints)), line


def read_rows(read_line: ReadLine, line: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each entry's bytes and stored leaf hash, `line` being the first. Raises `PeerFault` as `read_head` does.

    Also, malformed, when the file ends before its end.
    """
    count = 0
    while line.startswith(b"entry "):
        leaf, _, body = line[len(b"entry ") : -1].partition(b" ")
        if body.startswith(b"="):
            body = parse_base64(_text(body[1:]), "an entry")
        yield body, _leaf(leaf)
        count += 1
        line = _line(read_line)
    if _number(_rest(line, "end")) != count:
        raise _malformed(f"it says that it has another number of entries than {count}")
    if read_line(1):
        raise _malformed("it goes on after its end")


def _line(read_line: ReadLine) -> bytes:
    line = read_line(LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        if len(line) >= LINE_BYTES_MAX:
            raise PeerFault(Kind.TOO_LARGE, f"a line of an export has at most {LINE_BYTES_MAX} bytes")
        raise _malformed("it ends before its end: the file was cut off")
    return line


def _leaf(encoded: bytes) -> bytes:
    leaf = parse_base64(_text(encoded), "a leaf hash")
    return leaf if len(leaf) == HASH_BYTES else bytes(HASH_BYTES)


def _rest(line: bytes, word: str) -> str:
    text = _text(line[:-1])
    if not text.startswith(f"{word} "):
        raise _malformed(f"a line that begins with {word!r} is missing")
    return text.removeprefix(f"{word} ")


def _number(text: str) -> int:
    if not text.isdigit() or len(text) > 19 or str(int(text)) != text:
        raise _malformed("a number is none")
    return int(text)


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise _malformed("it is not ASCII") from error


def _encoded(data: bytes) -> bytes:
    return render_base64(data).encode()


def _malformed(reason: str) -> PeerFault:
    return PeerFault(Kind.MALFORMED, f"the export cannot be read: {reason}")
