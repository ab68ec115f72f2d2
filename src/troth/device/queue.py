"""Readings that wait on a device's disk for its home: in order, numbered, bounded; gone when acknowledged.

One SQLite file in the identity's ``queue/``: any process of the device's user may add to it, one agent sends from it.
What `add` has returned from is on the disk and stays until the home has it. A full queue takes nothing more, so that
nothing it took is lost. Numbers are never given twice, also by a queue that has been empty. Knows no network.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from troth.device.slots import sync_folder
from troth.errors import Fault, Kind, OurFault
from troth.limits import (
    DEFAULT,
    DEVICE_QUEUE_BYTES_MAX,
    DEVICE_QUEUE_READINGS_MAX,
    DEVICE_SET_ASIDE_MAX,
)
from troth.points import DevicePoint, reached
from troth.protocols.mqtt import topic_problem

FOLDER: Final = "queue"
_FILE: Final = "readings.db"
_BELL: Final = "bell"
_WAIT_S: Final = 10.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PACKET_BYTES: Final = 16
"""What a packet needs beside topic and payload, generously."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS readings (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, topic TEXT NOT NULL, payload BLOB NOT NULL,
    retain INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS set_aside (
    sequence INTEGER PRIMARY KEY, at INTEGER, topic TEXT NOT NULL, payload BLOB NOT NULL, retain INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that a device has to send."""

    sequence: int
    """Its number among all that this device has queued: from 1, without gaps, never given twice."""
    topic: str
    payload: bytes
    at: datetime | None = None
    """When it was queued, where the device knew the time."""
    retain: bool = False


Seal = Callable[[Reading], bytes]
"""Returns the payload that is sent for a reading whose number and time are known; what a signature is made by."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How much there is in a queue."""

    waiting: int
    set_aside: int
    last: int
    """The highest number given so far; 0 when none was."""


class Queue:
    """The queue of one identity, opened by this process. Threads may share it."""

    def __init__(
        self, path: Path, *, readings_max: int = DEVICE_QUEUE_READINGS_MAX, bytes_max: int = DEVICE_QUEUE_BYTES_MAX
    ) -> None:
        """Open the queue of the identity folder `path`; make it where there is none.

        Raises `Fault`: misconfigured when the disk refuses or the file is damaged; not found without the folder.
        """
        if not path.is_dir():
            raise Fault(Kind.NOT_FOUND, f"{path} holds no identity", hint="enroll first: troth device enroll")
        self._folder = path / FOLDER
        self._turn = threading.RLock()
        self._readings_max = readings_max
        self._bytes_max = bytes_max
        with self._told():
            if not self._folder.exists():
                self._folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(path)
            # Of its owner alone from the first byte; SQLite gives its other files the same mode.
            os.close(os.open(self._folder / _FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(
                self._folder / _FILE, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            try:
                # FULL: each commit is on the disk before it is told of (SQLite, "PRAGMA synchronous").
                self._db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_SCHEMA}")
                sync_folder(self._folder)
            except BaseException:
                self._db.close()
                raise

    @property
    def bell(self) -> Path:
        """The named pipe by which who adds tells who sends; there is one while somebody sends."""
        return self._folder / _BELL

    def add(
        self, topic: str, payload: bytes, at: datetime | None = None, *, retain: bool = False, seal: Seal | None = None
    ) -> Reading:
        """Put a reading behind all others and return it when it is on the disk.

        `seal` makes the payload that is sent. Raises `Fault`: too large when the queue is full, or the reading for any
        home; `OurFault` for a topic that is none; whatever `seal` raises, and then nothing is queued.
        """
        if problem := topic_problem(topic):
            raise OurFault(Kind.MALFORMED, f"that is no topic to send to: {problem}")
        with self._told(), self._change():
            self._require_room()
            added = self._db.execute(
                "INSERT INTO readings (at, topic, payload, retain) VALUES (?, ?, ?, ?)",
                (_micros(at), topic, payload, retain),
            )
            reading = Reading(added.lastrowid or 0, topic, payload, at, retain)
            if seal is not None:
                reading = replace(reading, payload=seal(reading))
                self._db.execute(
                    "UPDATE readings SET payload = ? WHERE sequence = ?", (reading.payload, reading.sequence)
                )
            if len(topic.encode()) + len(reading.payload) + _PACKET_BYTES > DEFAULT.packet_bytes:
                raise Fault(Kind.TOO_LARGE, f"a reading of {len(reading.payload)} bytes is more than a home takes")
        reached(DevicePoint.QUEUED)
        self._ring()
        return reading

    def waiting(self, count: int, behind: int = 0) -> list[Reading]:
        """Return the first readings, at most `count`, whose numbers are above `behind`."""
        with self._told():
            rows = self._db.execute(
                "SELECT sequence, topic, payload, at, retain FROM readings "
                "WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (behind, count),
            ).fetchall()
        return [Reading(row[0], row[1], row[2], _time(row[3]), bool(row[4])) for row in rows]

    def remove(self, last: int) -> None:
        """Forget the readings up to the one of this number: the home has them."""
        with self._told():
            self._db.execute("DELETE FROM readings WHERE sequence <= ?", (last,))
        reached(DevicePoint.REMOVED)

    def set_aside(self, sequence: int) -> None:
        """Take the first reading out of the way, which the home does not take; the oldest such go in the end."""
        with self._told(), self._change():
            self._db.execute("INSERT INTO set_aside SELECT * FROM readings WHERE sequence = ?", (sequence,))
            self._db.execute("DELETE FROM readings WHERE sequence = ?", (sequence,))
            self._db.execute(
                "DELETE FROM set_aside WHERE sequence NOT IN "
                "(SELECT sequence FROM set_aside ORDER BY sequence DESC LIMIT ?)",
                (DEVICE_SET_ASIDE_MAX,),
            )

    def depth(self) -> Depth:
        """Return how much there is."""
        with self._told():
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'readings'").fetchone()
            aside = self._db.execute("SELECT count(*) FROM set_aside").fetchone()[0]
            return Depth(self._count(), aside, last[0] if last else 0)

    def close(self) -> None:
        """Let go of the file, when nobody uses it."""
        with self._turn:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_room(self) -> None:
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if self._count() >= self._readings_max or (pages - free) * size >= self._bytes_max:
            raise Fault(
                Kind.TOO_LARGE,
                "the queue is full: nothing more is taken until the home has had some of it",
                hint="see `troth device show`: is the home reached, and is the agent (troth device run) running?",
            )

    def _count(self) -> int:
        # Readings leave at the front alone, so that no counting is needed.
        first, last = self._db.execute("SELECT min(sequence), max(sequence) FROM readings").fetchone()
        return last - first + 1 if first is not None else 0

    def _ring(self) -> None:
        """Wake who sends, if somebody does; whoever comes to the queue later looks by itself."""
        with suppress(OSError):
            descriptor = os.open(self.bell, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"!")
            finally:
                os.close(descriptor)

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # A disk that is full has ended it already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            # Of one connection SQLite makes one transaction, whoever begins it.
            with self._turn:
                yield
        except sqlite3.DatabaseError as error:
            busy = isinstance(error, sqlite3.OperationalError)
            hint = None if busy else "move the damaged queue away; what was in it and not sent is lost"
            kind = Kind.UNAVAILABLE if busy else Kind.MISCONFIGURED
            raise Fault(kind, f"the queue {self._folder} cannot be used: {error}", hint=hint) from error
        except OSError as error:
            raise Fault(Kind.MISCONFIGURED, f"the queue {self._folder} cannot be used: {error.strerror}") from error


def find_depth(path: Path) -> Depth:
    """Return how much waits in an identity's queue, making none. Raises `Fault` as `Queue` does."""
    if not (path / FOLDER / _FILE).exists():
        return Depth(0, 0, 0)
    with Queue(path) as queue:
        return queue.depth()


def _micros(at: datetime | None) -> int | None:
    return (at - _EPOCH) // timedelta(microseconds=1) if at is not None else None


def _time(micros: int | None) -> datetime | None:
    return _EPOCH + timedelta(microseconds=micros) if micros is not None else None
