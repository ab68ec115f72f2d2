"""Sends what waits in the queue: in order, QoS 1, several at once; forgets it when the home has acknowledged it.

A reading that the home ends the connection on, sent alone and time after time, is set aside: MQTT 3.1.1 has no other
word for a message that may not be sent. What was sent and not acknowledged is sent again. Knows no renewal.
"""

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from troth.device.connection import ConnectionFault
from troth.device.connector import Connector
from troth.device.events import Event, Tell, reason
from troth.device.link import Link
from troth.device.queue import Queue, Reading
from troth.errors import Fault, Kind
from troth.limits import DEVICE_QUEUE_ATTEMPTS_MAX, DEVICE_QUEUE_IN_FLIGHT_MAX
from troth.points import DevicePoint, reached
from troth.protocols.mqtt import Packet

_Flight = deque[tuple[Reading, asyncio.Future[Packet]]]
"""Readings that were sent and are not known to be acknowledged, in order."""


class Sender:
    """Sends one queue by one connector."""

    def __init__(self, queue: Queue, connector: Connector, tell: Tell) -> None:
        self._queue, self._connector, self._tell = queue, connector, tell
        self._rung = asyncio.Event()
        self._sent = 0
        """The highest number that may have been sent before, by this process or one before it."""
        self._suspect = 0
        """The number of the reading that is sent alone; 0: none is."""
        self._ended_on_it = 0

    async def run(self) -> None:
        """Send until cancelled. Raises `Fault`: conflict when another process sends already; what the queue raises."""
        with self._listening():
            # An earlier process may have sent these, and not have lived to hear of it.
            self._sent = (await asyncio.to_thread(self._queue.depth)).last
            while True:
                link = await self._connector.link()
                flight: _Flight = deque()
                try:
                    await self._send_by(link, flight)
                except Fault as fault:
                    if link.is_open:
                        raise  # of the queue
                    self._sent = max([self._sent, *(reading.sequence for reading, _ in flight)])
                    await self._settle(flight)
                    await self._look_into(flight, fault)

    async def _send_by(self, link: Link, flight: _Flight) -> None:
        """Send by `link` until another one takes its place. Raises `Fault` when it ends."""
        while True:
            self._rung.clear()
            current = await self._connector.link()
            await self._settle(flight)
            if current is not link:
                return
            room = (1 if self._suspect else DEVICE_QUEUE_IN_FLIGHT_MAX) - len(flight)
            behind = flight[-1][0].sequence if flight else 0
            for reading in await self._next(room, behind):
                again = reading.sequence <= self._sent
                sent = link.send(reading.topic, reading.payload, retain=reading.retain, again=again)
                flight.append((reading, sent))
                reached(DevicePoint.SENT)
            await link.flushed()
            if flight:
                await link.acknowledged(flight[0][1])
            else:
                await self._until_rung(link)

    async def _next(self, room: int, behind: int) -> list[Reading]:
        return await asyncio.to_thread(self._queue.waiting, room, behind) if room > 0 else []

    async def _settle(self, flight: _Flight) -> None:
        """Forget what was acknowledged, from the front."""
        last = 0
        while flight and flight[0][1].done() and flight[0][1].exception() is None:
            last = flight.popleft()[0].sequence
        if not last:
            return
        reached(DevicePoint.ACKNOWLEDGED)
        await asyncio.to_thread(self._queue.remove, last)
        self._suspect = self._ended_on_it = 0

    async def _look_into(self, flight: _Flight, fault: Fault) -> None:
        """Find out whether it is the first reading that the home ends connections on."""
        first = flight[0][0].sequence if flight else 0
        is_closed = isinstance(fault, ConnectionFault) and fault.refusal.word == "closed"
        if not is_closed or not first:
            return
        if first == self._suspect and len(flight) == 1:
            self._ended_on_it += 1
        else:
            self._suspect, self._ended_on_it = first, int(len(flight) == 1)
        if self._ended_on_it >= DEVICE_QUEUE_ATTEMPTS_MAX:
            await asyncio.to_thread(self._queue.set_aside, first)
            self._tell(Event.SET_ASIDE, sequence=first, topic=flight[0][0].topic, **reason(fault))
            self._suspect = self._ended_on_it = 0

    async def _until_rung(self, link: Link) -> None:
        """Wait until something is queued. Raises the `Fault` that ends the link first; returns when it is replaced."""
        end = asyncio.create_task(link.ended())
        rung = asyncio.create_task(self._rung.wait())
        try:
            await asyncio.wait({end, rung}, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                raise end.result()
        finally:
            end.cancel()
            rung.cancel()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Hang up the bell, as the only one who sends."""
        bell = self._queue.bell
        try:
            if not bell.is_fifo():
                bell.unlink(missing_ok=True)
                os.mkfifo(bell, 0o600)
            # Open for both, so that it is never at its end.
            descriptor = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Fault(Kind.MISCONFIGURED, f"{bell} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise Fault(
                Kind.CONFLICT,
                "another agent runs for this identity",
                hint="feed it: troth device publish --queue",
            ) from error
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._hear, descriptor)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _hear(self, descriptor: int) -> None:
        os.read(descriptor, 4096)
        self._rung.set()
