"""Who sits where at the broker: one session of a worker for each owner and client id, and what remains of ended ones.

What remains: a will that is to wait (MQTT 5.0, section 3.1.3.2.2), and a session that is to be forgotten, which a
broker of 3.1.1 does when the same client comes with a clean session. Decides nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from troth.errors import Fault, Kind
from troth.gateway.mqtt.upstream import KEEP_ALIVE_S_MIN, Link, Upstream
from troth.gateway.refusal import Reason
from troth.keys.randomness import random_id
from troth.limits import UPSTREAM_LINGER_S_MAX, UPSTREAM_WAIT_S_MAX
from troth.protocols.mqtt import Connack, Connect, Disconnect, Packet, Pingreq, StreamFault, render

_DISCONNECT: Final = render(Disconnect())
_PING: Final = render(Pingreq())
_PING_S: Final = KEEP_ALIVE_S_MIN / 2
LOOK_S_MAX: Final = 1.0
"""How long a broker may take to let us in that is taken for one that is up."""

log = structlog.get_logger()


class Sitter(Protocol):
    """A session that may have to make room for the next of its owner."""

    def end(self, reason: Reason) -> None:
        """End it, if it has not ended."""
        ...


@dataclass(slots=True)
class _Will:
    """A will that waits; the link to the broker, which would publish it, is kept open until then."""

    link: Link
    task: asyncio.Task[None] | None = None


class Visitor:
    """Hears what a link says that carries no session of a device."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        """What has come up to its CONNACK, and in the same read."""
        self.fault: StreamFault | None = None
        self._changed = asyncio.Event()
        self._gone = False

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Take its CONNACK; messages that come later stay unanswered."""
        if not self.packets:
            self.packets, self.fault = packets, fault
        self._gone = self._gone or fault is not None
        self._changed.set()

    def broker_slow(self, slow: bool) -> None:
        """Nothing: a visitor says little."""

    def broker_gone(self) -> None:
        """The broker has closed."""
        self._gone = True
        self._changed.set()

    async def answered(self) -> Connack:
        """Wait for the answer. Raises `Fault` (unavailable) for a no."""
        while not self.packets and not self._gone:
            await self._change()
        answer = self.packets[0] if self.packets else None
        if not isinstance(answer, Connack) or answer.code:
            raise Fault(Kind.UNAVAILABLE, "the broker does not let us in")
        return answer

    async def gone(self) -> None:
        """Wait until the broker has closed, and so has taken everything in."""
        while not self._gone:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Seats:
    """The seats of one worker, by client id at the broker. At most `wills_max` wills wait; any more do not."""

    def __init__(self, upstream: Upstream, wills_max: int) -> None:
        self._upstream = upstream
        self._wills_max = wills_max
        self._sitting: dict[str, Sitter] = {}
        self._wills: dict[str, _Will] = {}
        self._parting: dict[str, asyncio.Task[None]] = {}
        """What the broker still does for ended sessions: the next one of the seat waits for that."""
        self._looking: asyncio.Task[bool] | None = None

    def take(self, seat: str, sitter: Sitter) -> None:
        """Sit down; whoever sat there before is ended."""
        before = self._sitting.get(seat)
        self._sitting[seat] = sitter
        if before is not None:
            before.end(Reason.TAKEN_OVER)

    def leave(self, seat: str, sitter: Sitter) -> None:
        """Get up, if nobody has taken the seat already."""
        if self._sitting.get(seat) is sitter:
            del self._sitting[seat]

    async def settle(self, seat: str, *, resumes: bool) -> None:
        """Clear away what remains here of earlier sessions, before the next one is opened at the broker.

        A will that waits is forgotten where the session is resumed, and due where it begins anew [MQTT-3.1.3-9].
        Raises `Fault` (unavailable).
        """
        will = self._wills.pop(seat, None)
        if will is not None:
            _cancel(will.task)
            if resumes:
                will.link.write(_DISCONNECT)
                will.link.close()
            else:
                self.publish_will(seat, will.link)
        while (parting := self._parting.get(seat)) is not None:
            await asyncio.wait({parting})

    async def visit(self, seat: str, *, clean: bool) -> bool:
        """Open the session of a seat and leave it again; say whether the broker had one. Raises `Fault` (unavailable).

        With `clean` it has none any more afterwards.
        """
        visitor = Visitor()
        link = self._upstream.prepare(visitor, Connect(seat, clean), seat, KEEP_ALIVE_S_MIN)
        try:
            async with asyncio.timeout(UPSTREAM_WAIT_S_MAX):
                await self._upstream.dial(link)
                answer = await visitor.answered()
                link.write(_DISCONNECT)
                await visitor.gone()
        except TimeoutError as error:
            raise Fault(Kind.UNAVAILABLE, "the broker does not answer") from error
        finally:
            link.close()
        return answer.session_present

    async def is_broker_up(self) -> bool:
        """Say whether the broker lets us in now; many who ask at once are answered by one look."""
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_S_MAX):
                await self.visit(f"troth-look-{random_id()}", clean=True)
        except (Fault, TimeoutError):
            return False
        finally:
            self._looking = None
        return True

    def forget(self, seat: str) -> None:
        """Have the broker forget the session of a seat, soon."""
        if seat not in self._sitting:
            self._part(seat, partial(self._forget, seat))

    def publish_will(self, seat: str, link: Link) -> None:
        """Leave the broker as if cut off, so that it publishes the will of `link`.

        The next of this seat waits for that: one that comes before the broker has seen the first go would, with NATS,
        have the will dropped.
        """
        visitor = Visitor()
        link.hand_over(visitor)
        if link.finish():
            self._part(seat, partial(self._see_off, link, visitor))
        else:
            link.close()

    def _part(self, seat: str, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(_after(self._parting.get(seat), work))
        self._parting[seat] = task
        task.add_done_callback(lambda done: self._parting.pop(seat) if self._parting.get(seat) is done else None)

    async def _see_off(self, link: Link, visitor: Visitor) -> None:
        try:
            async with asyncio.timeout(UPSTREAM_LINGER_S_MAX):
                await visitor.gone()
        except TimeoutError:
            log.warning("session.will_uncertain", reason="the broker does not close")
        finally:
            link.close()

    async def _forget(self, seat: str) -> None:
        try:
            await self.visit(seat, clean=True)
        except Fault as fault:
            log.warning("session.unforgotten", reason=fault.message, detail=fault.detail)

    def keep_will(self, seat: str, link: Link, delay_s: int, may_speak: Callable[[], Awaitable[bool]]) -> None:
        """Let the broker publish the will of `link` in `delay_s` seconds, if `may_speak` says yes then."""
        if len(self._wills) >= self._wills_max:
            link.close()
            return
        link.hand_over(Visitor())
        link.pause_reading()
        will = self._wills[seat] = _Will(link)
        will.task = asyncio.get_running_loop().create_task(self._wait(seat, will, delay_s, may_speak))

    async def _wait(self, seat: str, will: _Will, delay_s: float, may_speak: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + delay_s
        while (left_s := until_s - loop.time()) > 0:
            # The broker is not to take us for dead before.
            await asyncio.sleep(min(left_s, _PING_S))
            will.link.write(_PING)
        speaks = await may_speak()
        if self._wills.get(seat) is will:
            del self._wills[seat]
        if speaks:
            self.publish_will(seat, will.link)
        else:
            will.link.write(_DISCONNECT)
            will.link.close()

    def close(self) -> None:
        """The worker stops: wills that wait are due."""
        for will in self._wills.values():
            _cancel(will.task)
            will.link.close()
        self._wills.clear()
        for task in self._parting.values():
            task.cancel()


async def _after(before: asyncio.Task[None] | None, work: Callable[[], Awaitable[None]]) -> None:
    if before is not None:
        await asyncio.wait({before})
    await work()


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
