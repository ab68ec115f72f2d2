"""The authority's process of a benchmark: `python -m bench.issue.authority FOLDER DATABASE`, until its input closes.

Says `ready` on standard output, as the real one tells its supervisor; then serves as the real one does.
"""

import asyncio
import logging
import sys
from pathlib import Path

import uvloop

from bench.issue.site import BELL, PUBLIC_URL
from troth.app import logs
from troth.app.cabinet import FileCabinet
from troth.app.garbage import spare_what_is_loaded
from troth.app.wiring.door import open_door
from troth.authority.serve import serve
from troth.clock import SystemClock
from troth.store.connect import connect
from troth.x509.profiles import Purpose


async def main(folder: Path, url: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, stop.set)
    db = connect(url, folder)
    door = open_door(db, FileCabinet(folder, None), PUBLIC_URL, (Purpose.DEVICES,))
    await serve(db, SystemClock(), door, folder / BELL, stop, ready)
    db.dispose()


def ready() -> None:
    """Do what the real one does once it is ready, and say so."""
    spare_what_is_loaded()
    print("ready", flush=True)


if __name__ == "__main__":
    logs.configure("authority", "json", level=logging.INFO)
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2]))
