"""A device for programs: `AsyncDevice` on an event loop, `Device` for those without one. Both are the whole agent.

While one is open its identity is kept alive, its connection held and its queue sent; nothing else need run.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from troth.clock import Clock, SystemClock
from troth.device.agent import KEEP_ALIVE_S, Agent
from troth.device.events import Event, Tell
from troth.device.identity import Identity, open_identity
from troth.device.queue import Queue, Reading, Seal
from troth.device.reading_time import ReadingTime
from troth.errors import Fault, Kind, OurFault
from troth.limits import DEVICE_STEP_S_MAX
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Publish

_T = TypeVar("_T")
_NOT_OPEN: Final = "the device is not open: use it in `with` or `async with`"


def _silent(event: Event, **fields: object) -> None:
    """Tell nobody."""


class AsyncDevice:
    """An enrolled device, at work for as long as it is open: ``async with AsyncDevice.open(path) as device``.

    One for each identity folder: a second one, or `troth device run` beside it, is refused (conflict). Its methods
    may raise the `Fault` that ended the agent.
    """

    def __init__(self, path: Path, agent: Agent, clock: Clock) -> None:
        """Not for callers: see `open`."""
        self._path, self._agent, self._clock = path, agent, clock
        self._reading_time: ReadingTime | None = None
        self._queue: Queue | None = None
        self._returned: deque[Publish] = deque()
        self._running: asyncio.Task[None] | None = None

    @classmethod
    def open(
        cls,
        identity: Path | str,
        *,
        clock: Clock | None = None,
        filters: Sequence[str] = (),
        client_id: str | None = None,
        keep_alive_s: int = KEEP_ALIVE_S,
        tell: Tell = _silent,
    ) -> Self:
        """Return the device whose identity is in this folder; it is at work from ``async with`` on.

        `clock` is what certificates are judged by, the system's if none; `filters` are subscribed to on every
        connection, and what the home has kept for them since the last one comes first (for a filter of `subscribe`
        alone it is dropped); `client_id` another MQTT client id than the thing's name; `keep_alive_s` how many seconds
        the home may be silent; `tell` hears what happens. Raises `Fault` (not found) where nobody has enrolled.
        """
        path, clock = Path(identity), clock or SystemClock()
        agent = Agent(path, clock, tell, filters=filters, client_id=client_id, keep_alive_s=keep_alive_s)
        return cls(path, agent, clock)

    @property
    def identity(self) -> Identity:
        """What this device is now: thing, certificate, roots. Read from the disk at each call. Raises `Fault`."""
        return open_identity(self._path)

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout_s: float = DEVICE_STEP_S_MAX
    ) -> None:
        """Send a message now, waiting at most `timeout_s` for a connection; at QoS 1 return when the home has it.

        Raises `Fault`: unavailable when there is no connection in time or it ends: the message may have arrived.
        """

        async def send() -> None:
            link = await self._agent.connector.link()
            await link.publish(topic, payload, qos=qos, retain=retain)

        try:
            async with asyncio.timeout(timeout_s):
                await self._while_running(send())
        except TimeoutError:
            raise Fault(
                Kind.UNAVAILABLE, f"the home was not reached within {timeout_s:g} s", hint="queue it instead"
            ) from None

    async def queue(self, topic: str, payload: bytes, *, retain: bool = False, seal: Seal | None = None) -> Reading:
        """Put a message on the disk and return it, with its number: it is sent, in order, when the home is there.

        `seal` makes the payload when the number is known, and the time (`ReadingTime`) where it is. Raises `Fault` as
        `Queue.add` does: too large when the queue is full; whatever `seal` raises.
        """
        queue, clock = self._queue, self._reading_time
        if queue is None or clock is None:
            raise OurFault(Kind.CONFLICT, _NOT_OPEN)
        return await asyncio.to_thread(lambda: queue.add(topic, payload, clock.find(), retain=retain, seal=seal))

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe, for this connection and those after it.

        Raises `Fault`: forbidden when the home refuses one of them (the others stand); unavailable.
        """
        codes = await self._while_running(self._agent.connector.subscribe(filters, qos))
        refused = [each for each, code in zip(filters, codes, strict=True) if code == SUBSCRIPTION_REFUSED]
        if refused:
            raise Fault(Kind.FORBIDDEN, f"the home does not let this device subscribe to {', '.join(refused)}")

    async def receive(self, timeout_s: float | None = None) -> Publish | None:
        """Return the next message of any subscription, waiting for it through whatever becomes of connections.

        None when none came within `timeout_s` (None: wait for ever).
        """

        async def take() -> Publish | None:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._agent.connector.receive()
            except TimeoutError:
                return None

        return self._returned.popleft() if self._returned else await self._while_running(take(), self._return)

    def _return(self, message: Publish | None) -> None:
        """Keep a message that was acknowledged, and whose taker went away at that moment."""
        if message is not None:
            self._returned.append(message)

    async def renew(self) -> Identity:
        """Get a new key and certificate now, and go over to them; the agent does so by itself in time.

        Raises `Fault` as `troth.device.renew.renew` does.
        """
        return (await self._while_running(self._agent.keeper.renew())).identity

    async def _while_running(self, doing: Coroutine[Any, Any, _T], undo: Callable[[_T], None] | None = None) -> _T:
        """Return what `doing` returns. Raises what has ended the agent, if that comes first.

        Whoever is cancelled when it is done already has it undone.
        """
        if self._running is None:
            doing.close()
            raise OurFault(Kind.CONFLICT, _NOT_OPEN)
        work = asyncio.ensure_future(doing)
        try:
            await asyncio.wait({work, self._running}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if undo is not None and work.done() and not work.cancelled() and work.exception() is None:
                undo(work.result())
            work.cancel()
            raise
        if not work.done():
            work.cancel()
            self._running.result()
        return work.result()

    async def __aenter__(self) -> Self:
        """Start to work. Raises `Fault` as `open_identity` and `Queue` do."""
        self._reading_time = ReadingTime.of(self.identity, self._clock)
        self._queue = Queue(self._path)
        self._running = asyncio.create_task(self._agent.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take leave of the home. What is queued and not sent stays on the disk."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._queue is not None:
            self._queue.close()
        self._running = self._queue = None


class Device:
    """`AsyncDevice` for programs without an event loop: ``with Device.open(path) as device``. Threads may share it.

    Each method does what that of `AsyncDevice` does, and blocks meanwhile.
    """

    def __init__(self, make: Callable[[], AsyncDevice]) -> None:
        """Not for callers: see `open`."""
        self._make = make
        self._ready: Future[AsyncDevice] = Future()
        self._thread = threading.Thread(target=self._work, name="troth-device")

    @classmethod
    def open(
        cls,
        identity: Path | str,
        *,
        clock: Clock | None = None,
        filters: Sequence[str] = (),
        client_id: str | None = None,
        keep_alive_s: int = KEEP_ALIVE_S,
        tell: Tell = _silent,
    ) -> Self:
        """Return the device whose identity is in this folder; it is at work from ``with`` on. As `AsyncDevice.open`."""
        open_identity(Path(identity))
        return cls(
            lambda: AsyncDevice.open(
                identity, clock=clock, filters=filters, client_id=client_id, keep_alive_s=keep_alive_s, tell=tell
            )
        )

    @property
    def identity(self) -> Identity:
        """What this device is now."""
        return self._device.identity

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout_s: float = DEVICE_STEP_S_MAX
    ) -> None:
        """Send a message now; at QoS 1 return when the home has it."""
        self._call(self._device.publish(topic, payload, qos=qos, retain=retain, timeout_s=timeout_s))

    def queue(self, topic: str, payload: bytes, *, retain: bool = False, seal: Seal | None = None) -> Reading:
        """Put a message on the disk and return it, with its number."""
        return self._call(self._device.queue(topic, payload, retain=retain, seal=seal))

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe, for this connection and those after it."""
        self._call(self._device.subscribe(*filters, qos=qos))

    def receive(self, timeout_s: float | None = None) -> Publish | None:
        """Return the next message of any subscription; None when none came within `timeout_s` (None: wait for ever)."""
        return self._call(self._device.receive(timeout_s))

    def messages(self) -> Iterator[Publish]:
        """Yield messages for ever."""
        while (message := self.receive()) is not None:
            yield message

    def renew(self) -> Identity:
        """Get a new key and certificate now, and go over to them."""
        return self._call(self._device.renew())

    @property
    def _device(self) -> AsyncDevice:
        if not self._ready.done():
            raise OurFault(Kind.CONFLICT, _NOT_OPEN)
        return self._ready.result()

    def _call(self, doing: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()

    def _work(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        try:
            device = self._make()
        except BaseException as error:
            self._ready.set_exception(error)
            return
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with device:
            self._ready.set_result(device)
            await self._end.wait()

    def __enter__(self) -> Self:
        """Start to work. Raises `Fault` as `AsyncDevice.open` does."""
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self._thread.join()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Take leave of the home."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
