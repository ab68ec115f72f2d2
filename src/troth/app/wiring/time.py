"""The process that tells devices the time."""

import asyncio
import os
from pathlib import Path
from typing import Final

import structlog

from troth.app.delegating import obtain, read_own_server, write_server_list
from troth.app.home import open_home
from troth.app.wiring.parts import Job, Ready, listening, until
from troth.clock import SystemClock
from troth.gateway.time import TimeDoor, serve_time

RENEW_EVERY_S: Final = 12 * 3600.0
"""Half of a delegation's life, so that an authority that is away for hours is no loss."""

log = structlog.get_logger()


async def run(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """Tell the time until `stop` is set. Opens no database."""
    home, settings = open_home(Path(job["home"]), os.environ)
    server, socket = read_own_server(home), listening(job, "time")
    port = socket.getsockname()[1]
    if not server.address.endswith(f":{port}"):
        write_server_list(home, settings.site.name, server.public_key, port)
    door = await serve_time(SystemClock(), socket)

    async def keep_leave(door: TimeDoor) -> None:
        while True:
            teller = await obtain(home, server.public_key)
            door.tell_by(teller)
            log.info("time.told", until=teller.ends_at.isoformat(timespec="seconds"))
            await asyncio.sleep(RENEW_EVERY_S)

    ready()
    await until(stop, keep_leave(door))
