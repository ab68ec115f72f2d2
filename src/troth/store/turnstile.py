"""A fair way in for writers, across threads and processes: SQLite itself has no write queue.

Two locks on two files. Who holds the first is next; it waits for the second, and only then lets the next one stand in
line. So a writer that has just finished finds the line before it and cannot walk in twice past someone who waits.
The kernel frees both locks of a process that dies.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Final

from troth.errors import Fault, Kind
from troth.limits import WRITE_WAIT_S_MAX
from troth.store.faults import RETRY_AFTER_S

POLL_S: Final = 0.0005


@contextmanager
def turnstile(database: Path, wait_s_max: float = WRITE_WAIT_S_MAX) -> Iterator[None]:
    """Hold the right to write to the SQLite file `database` for the length of the block.

    `flock` can wait for ever or not at all, so each wait is made of polls and ends after about `wait_s_max` seconds
    (the time spent asleep is counted). Raises `Fault` (unavailable, with `retry_after`) then, or when the lock files
    beside the database cannot be opened.
    """
    with _lock_file(database, "-queue") as queue, _lock_file(database, "-writer") as writer:
        polls = _take(queue, int(wait_s_max / POLL_S))
        try:
            _take(writer, polls)
        finally:
            fcntl.flock(queue, fcntl.LOCK_UN)
        # Closing the file gives the lock back, also when the block fails.
        yield


@contextmanager
def _lock_file(database: Path, suffix: str) -> Iterator[int]:
    path = database.with_name(database.name + suffix)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fault(
            Kind.UNAVAILABLE,
            "the database's lock file cannot be opened",
            detail=str(error),
            hint="the database's directory must exist and be writable for this user",
            retry_after=RETRY_AFTER_S,
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, polls: int) -> int:
    """Take the lock in at most `polls` polls; return how many are left."""
    never = Event()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if polls <= 0:
                raise Fault(
                    Kind.UNAVAILABLE,
                    "another process has been writing to the database for too long",
                    hint="look for a stopped troth process that holds the database",
                    retry_after=RETRY_AFTER_S,
                ) from None
            never.wait(POLL_S)
            polls -= 1
        else:
            return polls
