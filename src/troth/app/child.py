"""One child process of the supervisor: started with its job on standard input, watched, started again when it dies.

The child's end of life is tied to ours by that same standard input: when it closes, the child stops. Knows nothing of
what a child does.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from troth.errors import Fault, Kind

START_S: Final = 30.0
BACKOFF_S_FIRST: Final = 0.2
BACKOFF_S_MAX: Final = 10.0
STABLE_S: Final = 30.0
READY_LINE_BYTES_MAX: Final = 16 * 1024

State = Literal["starting", "running", "waiting", "stopped"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """What a child is told: its role and what it needs, and which descriptors it inherits by which name."""

    name: str
    role: str
    settings: dict[str, object] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)


class Child:
    """A process that is kept alive until it is told to stop."""

    def __init__(self, job: Job, *, ready: Callable[[], Awaitable[None]] | None, changed: Callable[[], None]) -> None:
        """`ready` tells for a child that cannot say itself that it is; `changed` is called at every change of state."""
        self.job = job
        self.state: State = "starting"
        self.pid: int | None = None
        self.restarts = 0
        self._ready = ready
        self._changed = changed
        self._stopping = asyncio.Event()
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._task = asyncio.create_task(self._live(), name=f"child {job.name}")

    async def started(self) -> None:
        """Return when the child is ready for the first time. Raises the `Fault` that kept it from it."""
        await asyncio.shield(self._started)

    async def stop(self, grace_s: float) -> None:
        """Ask the child to end, and after `grace_s` seconds end it."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
        _, pending = await asyncio.wait({self._task}, timeout=grace_s)
        if pending and self._process is not None:
            log.warning("child.killed", child=self.job.name, grace_s=grace_s)
            with suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.wait({self._task})

    async def _live(self) -> None:
        backoff_s = BACKOFF_S_FIRST
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            try:
                await self._run_once()
            except Fault as fault:
                if self._stopping.is_set():
                    break
                if not self._started.done():
                    self._enter("stopped", None)
                    self._started.set_exception(fault)
                    return
                log.error("child.failed", child=self.job.name, reason=fault.message, detail=fault.detail)
            if self._stopping.is_set():
                break
            if loop.time() - began > STABLE_S:
                backoff_s = BACKOFF_S_FIRST
            self._enter("waiting", None)
            log.warning("child.restarts", child=self.job.name, after_s=backoff_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
            self.restarts += 1
        self._enter("stopped", None)
        self._started.cancel()

    async def _run_once(self) -> None:
        """Start the child, tell when it is ready, and return when it has ended. Raises `Fault` when it never was."""
        said, ready = os.pipe()
        try:
            self._process = await self._spawn(ready)
        finally:
            os.close(ready)
        self._enter("starting", self._process.pid)
        try:
            async with asyncio.timeout(START_S):
                await self._wait_ready(said, self._process)
        except TimeoutError as error:
            self._process.kill()
            await self._process.wait()
            raise Fault(Kind.UNAVAILABLE, f"{self.job.name} was not ready within {START_S:.0f} s") from error
        except BaseException:
            # It has said why it cannot go on, or we are being cancelled: either way it must not linger.
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            raise
        self._enter("running", self._process.pid)
        if not self._started.done():
            self._started.set_result(None)
        code = await self._process.wait()
        if not self._stopping.is_set():
            log.error("child.died", child=self.job.name, pid=self._process.pid, code=code)

    async def _spawn(self, ready: int) -> asyncio.subprocess.Process:
        descriptors = {**self.job.descriptors, "ready": ready}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "troth.app.worker",
            stdin=asyncio.subprocess.PIPE,
            pass_fds=tuple(descriptors.values()),
            # A terminal's Ctrl-C is for the supervisor alone, which then stops its children in order.
            start_new_session=True,
        )
        assert process.stdin is not None
        job = {"name": self.job.name, "role": self.job.role, **self.job.settings, "descriptors": descriptors}
        process.stdin.write(json.dumps(job).encode() + b"\n")
        with suppress(ConnectionError):
            await process.stdin.drain()
        return process

    async def _wait_ready(self, said: int, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READY_LINE_BYTES_MAX)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(said, "rb", buffering=0)
        )
        try:
            line = await reader.readline()
        finally:
            transport.close()
        if self._ready is not None and not line:
            await _first(self._ready(), process)
            return
        if not line:
            code = await process.wait()
            raise Fault(Kind.UNAVAILABLE, f"{self.job.name} ended before it was ready, with exit code {code}")
        said_json = json.loads(line)
        if not said_json.get("ready"):
            raise Fault(Kind(said_json["kind"]), said_json["message"], hint=said_json.get("hint"))

    def _enter(self, state: State, pid: int | None) -> None:
        self.state = state
        self.pid = pid
        self._changed()


async def _first(ready: Awaitable[None], process: asyncio.subprocess.Process) -> None:
    """Wait until `ready` is done. Raises `Fault` when the process ends before."""
    waiting = asyncio.ensure_future(ready)
    ended = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise Fault(Kind.UNAVAILABLE, f"it ended before it was ready, with exit code {ended.result()}")
        await waiting
    finally:
        waiting.cancel()
        ended.cancel()


async def stop_all(children: Sequence[Child], grace_s: float) -> None:
    """Stop the children together."""
    await asyncio.gather(*(child.stop(grace_s) for child in children))
