"""What the platform logs, followed as it is written: a line is an event that one can wait for.

Nothing is polled: a thread takes every line from the pipe, keeps it in a file and tells those who wait.
"""

import json
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

LINES_KEPT_MAX: Final = 10_000
_END_S: Final = 5.0

Line = Mapping[str, Any]


class Log:
    """The log of one running platform, read from `source`, its stderr, until that ends."""

    def __init__(self, source: IO[bytes], file: Path) -> None:
        self._source = source
        self._file = file
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT_MAX)
        self._more = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._follow, name="log", daemon=True)
        self._thread.start()

    def about(self, peer: str, event: str, count: int, patience_s: float) -> list[Line]:
        """Return the first `count` lines named `event` about the connection from `peer` (``host:port``).

        Fewer when no more come within `patience_s` seconds.
        """
        found: list[Line] = []

        def enough() -> bool:
            found[:] = [line for line in self._lines if line.get("peer") == peer and line.get("event") == event]
            return len(found) >= count or self._ended

        with self._more:
            self._more.wait_for(enough, patience_s)
        return found[:count]

    def all_about(self, peer: str) -> list[Line]:
        """Return every line about the connection from `peer` so far."""
        with self._more:
            return [line for line in self._lines if line.get("peer") == peer]

    def tail(self, count: int) -> list[str]:
        """Return the last `count` lines as they were written."""
        text = self._file.read_text(encoding="utf-8", errors="replace") if self._file.exists() else ""
        return text.splitlines()[-count:]

    def close(self) -> None:
        """Return when the last line has been taken."""
        self._thread.join(_END_S)

    def _follow(self) -> None:
        with self._file.open("ab", buffering=0) as kept, self._source:
            for raw in self._source:
                kept.write(raw)
                line = _parse(raw)
                with self._more:
                    if line is not None:
                        self._lines.append(line)
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


def _parse(raw: bytes) -> Line | None:
    """Return the line as a value; None for what a library or the interpreter wrote in its own way."""
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
