"""A device that runs for years unattended: identity kept alive, one connection kept up, readings sent from the disk.

Tasks that know little of each other: `keeper` renews and asks the home, `connector` holds the connection, `sender`
empties the queue by it, `peer` keeps good what neighbours are shown. Everything that must survive is on the disk before
it counts.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from troth.clock import Clock
from troth.device.connector import Connector
from troth.device.events import Event, Tell, reason
from troth.device.identity import open_identity
from troth.device.keeper import Keeper
from troth.device.network import INTERNET, Network
from troth.device.peer import Looked, PeerKeeper
from troth.device.queue import Queue
from troth.device.schedule import back_off_s
from troth.device.sender import Sender
from troth.errors import Fault, Kind
from troth.keys.randomness import random_below
from troth.limits import DEVICE_LOOK_S_MAX, DEVICE_RETRY_S_MAX

KEEP_ALIVE_S: Final = 60
_PARTS: Final = 1 << 32


def draw() -> float:
    """Return a number from 0 to below 1 by which waits are spread."""
    return random_below(_PARTS) / _PARTS


class Agent:
    """The agent of the identity in one folder. Runs on one event loop; `run` it once."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        tell: Tell,
        *,
        filters: Sequence[str] = (),
        client_id: str | None = None,
        keep_alive_s: int = KEEP_ALIVE_S,
        draw: Callable[[], float] = draw,
        network: Network = INTERNET,
    ) -> None:
        """`clock` is what certificates are judged by: it may block, and raise `Fault` while the time is not known.

        Raises `Fault` (not found) without an identity.
        """
        open_identity(path)
        self._path, self._tell, self._draw = path, tell, draw
        changing = asyncio.Lock()
        self.connector = Connector(
            path, tell, draw, changing, client_id=client_id, keep_alive_s=keep_alive_s, network=network
        )
        self.connector.want(filters, 1)
        self._peer = PeerKeeper(path, clock, draw, network)
        self.keeper = Keeper(path, clock, tell, draw, changing, self.connector.credential_changed, network)

    async def run(self) -> None:
        """Run until cancelled, which ends it in order.

        Raises `Fault`: conflict when another agent runs for this identity, not found or malformed when the identity
        cannot be read any more. A damaged queue ends nothing but the sending.
        """
        tasks = [
            asyncio.create_task(self.connector.run()),
            asyncio.create_task(self.keeper.run()),
            asyncio.create_task(self._send()),
            asyncio.create_task(self._keep_peer()),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_peer(self) -> None:
        while True:
            looked = await asyncio.to_thread(self._peer.look) if self._peer.is_needed else Looked(DEVICE_LOOK_S_MAX)
            if looked.event is not None:
                self._tell(looked.event, **looked.fields)
            await asyncio.sleep(looked.wait_s)

    async def _send(self) -> None:
        failures = 0
        while True:
            try:
                with Queue(self._path) as queue:
                    await Sender(queue, self.connector, self._tell).run()
            except Fault as fault:
                if fault.kind is Kind.CONFLICT:
                    raise
                # A disk that is full or busy may be well again; who mends a damaged file need not tell us.
                wait_s = back_off_s(failures, self._draw(), DEVICE_RETRY_S_MAX)
                failures += 1
                self._tell(Event.QUEUE_BROKEN, again_in_s=round(wait_s, 1), **reason(fault))
                await asyncio.sleep(wait_s)
