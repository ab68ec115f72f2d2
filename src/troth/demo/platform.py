"""``troth up`` as a child process, from its start to its end. Knows nothing of the story."""

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from troth.demo.log import Log
from troth.errors import Fault, Kind

START_S: Final = 60.0
STOP_S: Final = 20.0
GIVE_UP_S: Final = 5.0
TAIL_LINES: Final = 20
LISTENERS: Final = ("mqtt", "https", "public", "operators", "time")
WORKERS: Final = 2
"""Gateway workers: two, so that a revocation has more than one to reach, whatever the machine."""


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every command here: `own` without any setting of another home, and free ports."""
    free = {f"TROTH_LISTEN__{listener.upper()}": "127.0.0.1:0" for listener in LISTENERS}
    others = {name: value for name, value in own.items() if not name.startswith("TROTH_")}
    return {**others, **free, "TROTH_PROCESSES__GATEWAY": str(WORKERS)}


@dataclass(frozen=True, slots=True)
class Platform:
    """All processes of one home, ready."""

    listen: Mapping[str, str]
    """``host:port`` by the listener's name."""
    log: Log


@contextmanager
def running(home: Path, environment: Mapping[str, str], log_file: Path) -> Iterator[Platform]:
    """Run everything in `home` for the length of the block.

    Raises `NotReady` when it does not come up.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "troth", "up", "--home", str(home), "--json", "--log", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        # A terminal's Ctrl-C is for the story, which then stops the platform in order.
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    log = Log(process.stderr, log_file)
    try:
        yield Platform(_wait_ready(process.stdout), log)
    except _Silence as silence:
        # One that has given up is about to end, and is not to be kept from saying why.
        with suppress(subprocess.TimeoutExpired):
            process.wait(GIVE_UP_S)
        _stop(process)
        log.close()
        raise NotReady(str(silence), log.tail(TAIL_LINES)) from None
    finally:
        _stop(process)
        process.stdout.close()
        log.close()


class NotReady(Fault):
    """The platform did not come up; `tail` is the end of its log."""

    def __init__(self, message: str, tail: list[str]) -> None:
        super().__init__(Kind.UNAVAILABLE, f"the platform did not come up: {message}")
        self.tail = tail


class _Silence(Exception):
    """What was to be ready did not say so."""


def _wait_ready(stdout: IO[bytes]) -> Mapping[str, str]:
    readable, _, _ = select.select([stdout], [], [], START_S)
    line = stdout.readline() if readable else b""
    if not line:
        raise _Silence("it ended without a word" if readable else f"it was not ready within {START_S:.0f} s")
    said = json.loads(line)
    if not said.get("ready"):
        raise _Silence(said.get("error", {}).get("message", ""))
    listen: Mapping[str, str] = said["listen"]
    return listen


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        # Its children end by themselves when it is gone.
        process.kill()
        process.wait()
