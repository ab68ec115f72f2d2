"""Servers as processes: started on a free port of the loopback, ended by their own id, and what CPU time they used."""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

START_S: Final = 30.0
STOP_S: Final = 20.0
ATTEMPTS: Final = 5
_PROBE_S: Final = 0.01


class NotStarted(Exception):
    """A server did not come up; says why, with the end of its log."""


def cpu_s(pids: Iterable[int]) -> float:
    """Return the seconds of CPU time, user and system, that these processes have used since they began.

    By each process's own clock: what /proc/PID/stat tells as utime and stime, but not in ticks of ten milliseconds.
    """
    return sum(time.clock_gettime(_clock_of(pid)) for pid in pids)


def _clock_of(pid: int) -> int:
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, f"process {pid}: {os.strerror(error)}")
    return clock.value


@contextmanager
def serving(command: Callable[[int], Sequence[str]], log: Path) -> Iterator[tuple[int, int]]:
    """Run a server that `command` makes for a free port; yield that port and the process's id once it accepts."""
    for _ in range(ATTEMPTS):
        port = free_port()
        with running(command(port), log) as process:
            # Somebody else may have taken the port meanwhile; then the next is tried.
            if _accepts(process, port):
                yield port, process.pid
                return
    raise NotStarted(f"{command(0)[0]} does not start: {tail(log)}")


@contextmanager
def running(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the length of the block; what it says on standard error is appended to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(errors="replace")[-2000:].strip()


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(_PROBE_S)
        else:
            # Whoever answered may be a stranger on the same port, if ours has ended.
            return process.poll() is None
    return False
