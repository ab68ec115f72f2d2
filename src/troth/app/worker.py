"""``python -m troth.app.worker``: the one entry point of every child process.

Its job is a line of JSON on standard input, which stays open for as long as the supervisor lives; when that
closes, the child stops.
"""

import asyncio
import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
import uvloop

from troth.app import logs
from troth.app.garbage import spare_what_is_loaded
from troth.errors import Bug, Fault, Kind
from troth.tls.library import configure_openssl

JOB_BYTES_MAX: Final = 1024 * 1024
PR_SET_PDEATHSIG: Final = 1

ROLES: Final = ("authority", "gateway", "web", "time")
"""Each is `run` of the module of its name in `troth.app.wiring`; the broker is a program of its own."""

Role = Callable[[dict[str, Any], asyncio.Event, Callable[[], None]], Awaitable[None]]

log = structlog.get_logger()


def main() -> None:
    """Read the job, do it until told to stop, and exit."""
    job = _read_job()
    ready = job["descriptors"].pop("ready")
    os.set_inheritable(ready, False)
    logs.configure(job["name"], job["style"])
    if job["role"] == "broker":
        _become(job["command"])
    _raise_open_files()
    configure_openssl()
    try:
        uvloop.run(_serve(_role(job["role"]), job, ready))
    except Fault as fault:
        log.error("failed", kind=fault.kind, reason=fault.message, detail=fault.detail)
        _say(ready, {"ready": False, "kind": fault.kind, "message": fault.message, "hint": fault.hint})
        sys.exit(1)
    except Exception:
        log.exception("broke")
        sys.exit(70)


def _role(name: str) -> Role:
    """Load the parts of one process and no other's."""
    if name not in ROLES:
        raise Bug(f"{name} is no role")
    role: Role = importlib.import_module(f"troth.app.wiring.{name}").run
    return role


async def _serve(role: Role, job: dict[str, Any], ready: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The supervisor's end of this pipe closes when it dies, however it dies.
    loop.add_reader(0, _on_input, stop)
    try:
        await role(job, stop, lambda: _settled(ready))
    finally:
        loop.remove_reader(0)


def _settled(ready: int) -> None:
    """Say that the process is ready, and keep the garbage collector from what has been loaded up to here."""
    spare_what_is_loaded()
    _say(ready, {"ready": True})


def _on_input(stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        stop.set()
        asyncio.get_running_loop().remove_reader(0)


def _read_job() -> dict[str, Any]:
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65_536)
        if not chunk or len(line) > JOB_BYTES_MAX:
            sys.exit("troth.app.worker is started by troth up, with its job on standard input")
        line += chunk
    job: dict[str, Any] = json.loads(line)
    return job


def _say(ready: int, message: dict[str, object]) -> None:
    os.write(ready, json.dumps(message).encode() + b"\n")
    os.close(ready)


def _become(command: list[str]) -> None:
    """Turn into the program `command`, which is ended by the kernel when the supervisor dies."""
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise Fault(Kind.UNAVAILABLE, "prctl refused to tie the broker to the supervisor")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone")
    # Go runs on every core unless it is told otherwise, where its threads mostly wake each other: on half of them NATS
    # needs a fifth less of the machine for a connect.
    os.environ.setdefault("GOMAXPROCS", str(max(1, (os.cpu_count() or 1) // 2)))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _raise_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
