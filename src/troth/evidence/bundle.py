"""A bundle of evidence: readings, and all that a stranger needs to judge them years later. ``docs/evidence.md``.

Lines of ASCII: the journal's key and a signed checkpoint, certificates, entries of the journal with their proofs, CRLs;
then the readings as they were received; then how many there were and the hash of all lines before. Nothing that is read
is verified yet (`troth.evidence.status`), but for that hash. Read line by line, in the memory of its head.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from troth.errors import Kind, PeerFault
from troth.evidence.base64 import parse_base64, render_base64
from troth.evidence.checkpoint import SignedCheckpoint, VerifierKey, parse_checkpoint, parse_verifier_key
from troth.evidence.merkle import HASH_BYTES
from troth.limits import EVIDENCE_LINES_MAX, READING_LINE_BYTES_MAX

FIRST_LINE: Final = b"troth-evidence 1\n"
_BEGIN: Final = b"readings\n"
_PATH_MAX: Final = 128

ReadLine = Callable[[int], bytes]
"""Returns the next line with its end, of at most so many bytes; nothing at the end of the file."""


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry of the journal and its way to the checkpoint's head."""

    index: int
    path: tuple[bytes, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class BundleHead:
    """All but the readings."""

    key: VerifierKey
    checkpoint: SignedCheckpoint
    issuers: tuple[bytes, ...]
    """In DER, as the certificates and CRLs below."""
    certificates: tuple[bytes, ...]
    """Those whose keys have signed the readings."""
    entries: tuple[ProvenEntry, ...]
    crls: tuple[bytes, ...]


class Writer:
    """Writes a bundle, line by line, to `write`. Call `head`, then `reading` for each, then `end`."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._hash = hashlib.sha256()
        self.count = 0

    def head(self, head: BundleHead) -> None:
        """Write all that comes before the readings."""
        self._line(FIRST_LINE)
        self._line(f"key {head.key.render()}\n".encode())
        self._line(_encoded("checkpoint", head.checkpoint.note))
        for word, items in (("issuer", head.issuers), ("certificate", head.certificates), ("crl", head.crls)):
            for each in items:
                self._line(_encoded(word, each))
        for entry in head.entries:
            path = ",".join(map(render_base64, entry.path)) or "-"
            self._line(f"entry {entry.index} {path} {render_base64(entry.body)}\n".encode())
        self._line(_BEGIN)

    def reading(self, line: bytes) -> None:
        """Write the line of a reading as it was kept, its end included."""
        self._line(line)
        self.count += 1

    def end(self) -> None:
        """Write the last line."""
        self._write(f"end {self.count} {self._hash.hexdigest()}\n".encode())

    def _line(self, line: bytes) -> None:
        self._hash.update(line)
        self._write(line)


class Reader:
    """Reads a bundle: `head` once, then `readings` once. Raises `PeerFault`: malformed, too large."""

    def __init__(self, read_line: ReadLine) -> None:
        self._read = read_line
        self._hash = hashlib.sha256()
        self.line = 0
        """How many lines have been read."""

    def head(self) -> BundleHead:
        """Return all that comes before the readings."""
        if self._next() != FIRST_LINE:
            raise self._fault("it does not begin as one of this version does")
        key = parse_verifier_key(self._text(self._next(), "key"))
        checkpoint = parse_checkpoint(parse_base64(self._text(self._next(), "checkpoint"), "the checkpoint"))
        found: dict[str, list[bytes]] = {"issuer": [], "certificate": [], "crl": []}
        entries: list[ProvenEntry] = []
        while (line := self._next()) != _BEGIN:
            if self.line > EVIDENCE_LINES_MAX:
                raise PeerFault(Kind.TOO_LARGE, f"there are more than {EVIDENCE_LINES_MAX} lines before the readings")
            word = line.partition(b" ")[0].decode("ascii", "replace")
            if word == "entry":
                entries.append(self._entry(self._text(line, word)))
            elif word in found:
                found[word].append(parse_base64(self._text(line, word), f"a line that begins with {word}"))
            else:
                raise self._fault("it begins with no word that stands there")
        issuers, certificates, crls = (tuple(found[word]) for word in ("issuer", "certificate", "crl"))
        return BundleHead(key, checkpoint, issuers, certificates, tuple(entries), crls)

    def readings(self) -> Iterator[bytes]:
        """Yield the line of each reading. Ends with a fault unless all is as it was when the bundle was made."""
        count = 0
        while True:
            digest = self._hash.hexdigest()
            line = self._next()
            if not line.startswith(b"{"):
                break
            count += 1
            yield line
        if line != f"end {count} {digest}\n".encode():
            raise PeerFault(Kind.REJECTED, "the bundle is not as it was when it was made: its last line says another")
        if self._read(1):
            raise self._fault("it goes on after its end")

    def _next(self) -> bytes:
        line = self._read(READING_LINE_BYTES_MAX)
        self.line += 1
        if not line.endswith(b"\n"):
            if len(line) >= READING_LINE_BYTES_MAX:
                raise PeerFault(Kind.TOO_LARGE, f"line {self.line} has more than {READING_LINE_BYTES_MAX} bytes")
            raise self._fault("the bundle ends before its end")
        self._hash.update(line)
        return line

    def _entry(self, text: str) -> ProvenEntry:
        parts = text.split(" ")
        if len(parts) != 3 or not parts[0].isdigit() or len(parts[0]) > 19:
            raise self._fault("an entry has a place, a path and its bytes")
        hashes = [] if parts[1] == "-" else parts[1].split(",")
        path = tuple(parse_base64(each, "a hash") for each in hashes[: _PATH_MAX + 1])
        if len(path) > _PATH_MAX or any(len(each) != HASH_BYTES for each in path):
            raise self._fault("its path is none")
        return ProvenEntry(int(parts[0]), path, parse_base64(parts[2], "an entry"))

    def _text(self, line: bytes, word: str) -> str:
        text = line[:-1].decode("ascii", "replace")
        if not text.startswith(f"{word} "):
            raise self._fault(f"the line that begins with {word!r} is missing")
        return text.removeprefix(f"{word} ")

    def _fault(self, reason: str) -> PeerFault:
        return PeerFault(Kind.MALFORMED, f"line {self.line} of the bundle cannot be read: {reason}")


def reading_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file of readings that are not empty, each with one end and none too long.

    Raises `PeerFault`: too large; malformed for a line that no bundle could hold.
    """
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if len(line) >= READING_LINE_BYTES_MAX:
            raise PeerFault(Kind.TOO_LARGE, f"line {number} has more than {READING_LINE_BYTES_MAX} bytes")
        if text and not text.startswith(b"{"):
            raise PeerFault(Kind.MALFORMED, f"line {number} is no object of JSON")
        if text:
            yield text + b"\n"


def _encoded(word: str, data: bytes) -> bytes:
    return f"{word} {render_base64(data)}\n".encode()
