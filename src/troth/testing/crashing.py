"""Ends this process by SIGKILL at a named point of `troth.points`, and writes down which points it reached.

For processes that tests start: `arm` before the work begins. Nothing of the product knows of it.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from troth.points import EVENT
from troth.store.connect import BEGIN

COMMIT = "commit"
"""Stands in the trace for each commit of a change that the database driver is told of, beside the points."""


def arm(trace: Path, die_at: str | None = None) -> None:
    """Append every point that this process reaches to `trace`: ``door.signed:2`` for its second time.

    At the point `die_at`, written in the same way, the process ends there and then, and no ``finally`` is run.
    """
    descriptor = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    times: Counter[str] = Counter()

    def hear(event_name: str, arguments: tuple[object, ...]) -> None:
        if event_name != EVENT:
            return
        point = str(arguments[0])
        times[point] += 1
        place = f"{point}:{times[point]}"
        os.write(descriptor, f"{place}\n".encode())
        if place == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def count(connection: Connection) -> None:
        if connection.get_execution_options().get(BEGIN) == "write":
            os.write(descriptor, f"{COMMIT}\n".encode())

    sys.addaudithook(hear)
    event.listen(Engine, "commit", count)


def reached_in(trace: Path) -> list[str]:
    """Return what stands in a trace, in order; nothing when there is none."""
    return trace.read_text().split() if trace.exists() else []
