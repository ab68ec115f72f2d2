"""A device's own processes: one that renews and lets the old credential go, one that queues readings and sends them."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.crash.renewing import Home
from tests.unit.device.gateway import Gateway, gateway
from tests.unit.device.home import Home as SmallHome

from troth.clock import SystemClock
from troth.device.agent import Agent
from troth.device.events import Event
from troth.device.identity import open_identity
from troth.device.queue import Queue
from troth.device.renew import renew, retire_previous
from troth.testing.crashing import arm

READINGS = 4
TOPIC = "lab/a"


def run_renewal(home: Home, thing: str, trace: Path, die_at: str | None) -> None:
    """Renew, and let the credential go that was in use before, as after a connection with the new one."""
    arm(trace, die_at)
    renew(home.identity(thing), SystemClock())
    path = home.identity(thing)
    retire_previous(path, open_identity(path).slot)


def run_agent(identity: Path, trace: Path, die_at: str | None) -> None:
    """Queue what is not queued yet, and run the agent until all of it is sent."""
    arm(trace, die_at)
    with Queue(identity) as queue:
        for number in range(queue.depth().last + 1, READINGS + 1):
            queue.add(TOPIC, str(number).encode())
        asyncio.run(_until_empty(identity, queue))


async def _until_empty(identity: Path, queue: Queue) -> None:
    task = asyncio.create_task(Agent(identity, SystemClock(), _tell).run())
    while queue.depth().waiting:  # noqa: ASYNC110 - it is on the disk, where nobody waits
        await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _tell(event: Event, **fields: object) -> None:
    pass


@contextmanager
def running_gateway(home: SmallHome) -> Iterator[Gateway]:
    """Run a gateway in a thread of its own."""
    ready = threading.Event()
    found: list[tuple[Gateway, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def work() -> None:
        async with gateway(home) as there:
            end = asyncio.Event()
            found.append((there, asyncio.get_running_loop(), end))
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(work()), name="gateway")
    thread.start()
    assert ready.wait(20)
    there, loop, end = found[0]
    try:
        yield there
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
