"""One at a time in a PKCS#11 module, of this process: who signs, and whose TLS handshake OpenSSL's engine signs in.

libtpm2-pkcs11 1.9 bears no two threads that sign at once, whatever it was begun with. Knows neither tokens nor TLS.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path


@cache
def turn_of(module: Path) -> threading.Lock:
    """Return what is held by whoever is in this module."""
    return threading.Lock()


@asynccontextmanager
async def turn_on_loop(module: Path) -> AsyncIterator[None]:
    """Hold the turn from an event loop, which does not stand still meanwhile."""
    turn = turn_of(module)
    waiting = asyncio.ensure_future(asyncio.to_thread(turn.acquire))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        # It comes all the same.
        waiting.add_done_callback(lambda _: turn.release())
        raise
    try:
        yield
    finally:
        turn.release()
