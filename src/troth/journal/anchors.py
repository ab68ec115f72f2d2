"""Writes checkpoints to places outside: a file that is appended to, an address that they are posted to.

Only the newest is ever on its way, so that a place which does not answer costs neither memory nor time of anyone else.
"""

import asyncio
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Protocol

import structlog

from troth.errors import Fault, Kind
from troth.evidence.checkpoint import SignedCheckpoint, parse_checkpoint
from troth.journal.checkpoints import examine, find_newest
from troth.limits import ANCHOR_WAIT_S_MAX, NOTE_BYTES_MAX
from troth.store.connect import Database
from troth.store.read import read

RETRY_S_FIRST: Final = 5.0

log = structlog.get_logger()


class Anchor(Protocol):
    """A place outside."""

    @property
    def name(self) -> str:
        """What it is, for people and logs; nothing secret."""
        ...

    def last(self) -> SignedCheckpoint | None:
        """Return the newest checkpoint that the place can show; None when it has none, or shows nothing."""
        ...

    def put(self, note: bytes) -> None:
        """Write a signed note there. Blocks, for `ANCHOR_WAIT_S_MAX` at most. Raises `Fault` (unavailable)."""
        ...


class FileAnchor:
    """A file to which checkpoints are appended, an empty line after each: on another machine's disk, best of all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self._path)

    def last(self) -> SignedCheckpoint | None:
        """Return the last checkpoint in the file. Raises `Fault`: unavailable, malformed."""
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 2 * NOTE_BYTES_MAX))
                end = file.read(2 * NOTE_BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable(error) from error
        if not end.strip():
            return None
        # A note is two parts with an empty line between; what stands before the last one may be cut, and is not read.
        parts = end.rstrip(b"\n").split(b"\n\n")
        return parse_checkpoint(b"\n\n".join(parts[-2:]) + b"\n")

    def put(self, note: bytes) -> None:
        """Append a note, for good, unless it is the last one already. Raises `Fault`: unavailable, malformed."""
        last = self.last()
        if last is not None and last.note == note:
            return
        try:
            with self._path.open("ab") as file:
                file.write(note + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> Fault:
        return Fault(Kind.UNAVAILABLE, f"the anchor file {self._path} cannot be used: {error.strerror}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing: what was configured is what is told."""


class WebhookAnchor:
    """An HTTPS address to which each checkpoint is posted as ``text/plain``; any answer of 200 to 299 means taken."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(_NoRedirects)

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        host = urllib.request.Request(self._url).host  # noqa: S310 - settings take nothing but https
        return f"https://{host.rpartition('@')[2]}/..."

    def last(self) -> SignedCheckpoint | None:
        """Return None: an address only takes."""
        return None

    def put(self, note: bytes) -> None:
        """Post a note. Raises `Fault` (unavailable)."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        request = urllib.request.Request(self._url, data=note, headers=headers, method="POST")  # noqa: S310
        try:
            with self._opener.open(request, timeout=ANCHOR_WAIT_S_MAX):
                pass
        except urllib.error.HTTPError as error:
            with error:
                raise Fault(
                    Kind.UNAVAILABLE, f"{self.name} did not take the checkpoint", detail=f"status {error.code}"
                ) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            raise Fault(Kind.UNAVAILABLE, f"{self.name} did not take the checkpoint", detail=str(error)) from error


def put_newest(db: Database, anchor: Anchor) -> SignedCheckpoint | None:
    """Write the newest checkpoint to a place and return it; None when there is none yet. Blocks.

    Raises `Fault`: rejected, and nothing is written, when the place remembers what the journal does not have;
    unavailable; malformed.
    """
    remembered = anchor.last()
    with read(db) as connection:
        newest = find_newest(connection)
        if remembered is not None:
            examine(connection, [remembered.checkpoint])
    if newest is not None:
        anchor.put(newest.note)
    return newest


async def keep_anchored(db: Database, anchor: Anchor, every_s: float) -> None:
    """Write the newest checkpoint to a place every `every_s` seconds when there is a new one, without end.

    What fails is tried again, sooner at first, and said each time.
    """
    written, failures = -1, 0
    while True:
        try:
            newest = await asyncio.to_thread(_newest_size, db)
            if newest != written:
                done = await asyncio.to_thread(put_newest, db, anchor)
                written = -1 if done is None else done.checkpoint.size
            failures = 0
        except Fault as fault:
            failures += 1
            log.error("journal.not_anchored", anchor=anchor.name, reason=fault.message, detail=fault.detail)
        except Exception:
            failures += 1
            log.exception("journal.anchoring_broke", anchor=anchor.name)
        await asyncio.sleep(min(every_s, RETRY_S_FIRST * 2 ** min(failures - 1, 10)) if failures else every_s)


def _newest_size(db: Database) -> int:
    with read(db) as connection:
        newest = find_newest(connection)
    return -1 if newest is None else newest.checkpoint.size
