"""Keeps an identity alive: does what `schedule` says when it says so, and remembers what came of it.

What it remembers is lost with the process and never needed: all that counts is on the disk. Knows no MQTT.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from troth.clock import Clock
from troth.device.enroll import Enrolled
from troth.device.events import Event, Tell, reason
from troth.device.identity import Identity, open_identity
from troth.device.network import INTERNET, Network
from troth.device.renew import ask_hint, renew
from troth.device.schedule import (
    Action,
    Known,
    Life,
    Step,
    ask_again_s,
    back_off_s,
    life_of,
    next_step,
    renew_again_s,
    rest_s,
)
from troth.device.slots import Slots
from troth.device.trust import refresh_trust
from troth.errors import Fault
from troth.limits import DEVICE_RETRY_S_MAX
from troth.protocols.renewal_info import Window
from troth.x509.certificates import certificate_id


class Keeper:
    """Looks after the identity in one folder. `on_change` is called when there is another credential in use."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        tell: Tell,
        draw: Callable[[], float],
        changing: asyncio.Lock,
        on_change: Callable[[], None],
        network: Network = INTERNET,
    ) -> None:
        """`clock` may block, and raise `Fault` where the time is not known; `draw` gives numbers from 0 to below 1.

        `changing` is held while this process changes the folder.
        """
        self._path, self._clock, self._tell, self._draw = path, clock, tell, draw
        self._changing, self._on_change = changing, on_change
        self._network = network
        self._hint: Window | None = None
        self._certificate = ""
        self._failures = dict.fromkeys(Action, 0)
        self._ready_at: dict[Action, float] = {}
        self._look = asyncio.Event()

    async def renew(self) -> Enrolled:
        """Renew now, whenever that would be due. Raises `Fault` as `troth.device.renew.renew` does."""
        async with self._changing:
            done = await asyncio.to_thread(renew, self._path, self._clock, network=self._network)
        self._look.set()
        return done

    def ask_soon(self) -> None:
        """Ask the home now, whenever that would be due."""
        self._ready_at[Action.ASK] = _time()
        self._look.set()

    async def run(self) -> None:
        """Look after it until cancelled. Raises `Fault` when there is no identity that can be read."""
        while True:
            self._look.clear()
            identity = await asyncio.to_thread(open_identity, self._path)
            now = await self._now(identity)
            self._note(identity)
            step = self._step(identity, now)
            if step.in_s <= 0:
                await self._do(step.action, life_of(identity.certificate), now)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(step.in_s):
                    await self._look.wait()

    def _step(self, identity: Identity, now: datetime | None) -> Step:
        unfinished = Slots(self._path).spare().request_file.exists()
        waits = {action: at - _time() for action, at in self._ready_at.items()}
        return next_step(Known(now, life_of(identity.certificate, unfinished=unfinished), self._hint, waits))

    def _note(self, identity: Identity) -> None:
        """See whether another certificate is in use than the last time: also one that another process has brought."""
        found = certificate_id(identity.certificate)
        if found == self._certificate:
            return
        if self._certificate:
            self._hint = None
            self._ready_at[Action.ASK] = _time()
            self._on_change()
        self._certificate = found

    async def _now(self, identity: Identity) -> datetime | None:
        clock = self._network.judge_of(identity.time_servers) or self._clock
        try:
            return await asyncio.to_thread(clock.now)
        except Fault as fault:
            self._again_in(Action.LEARN_TIME, back_off_s(self._fail(Action.LEARN_TIME), self._draw(), 60.0))
            self._tell(Event.TIME_UNKNOWN, **reason(fault))
            return None

    async def _do(self, action: Action, life: Life, now: datetime | None) -> None:
        match action:
            case Action.RENEW:
                await self._renew(life, now)
            case Action.ASK:
                await self._ask()
            case _:
                pass  # looking again is what finds out the time

    async def _renew(self, life: Life, now: datetime | None) -> None:
        try:
            async with self._changing:
                if (
                    certificate_id((await asyncio.to_thread(open_identity, self._path)).certificate)
                    != self._certificate
                ):
                    return  # somebody was first
                done = await asyncio.to_thread(renew, self._path, self._clock, network=self._network)
        except Fault as fault:
            left = life.ends_in_s(now) if now is not None else None
            wait_s = renew_again_s(self._fail(Action.RENEW), self._draw(), left, fault.retry_after)
            self._again_in(Action.RENEW, wait_s)
            self._tell(Event.NOT_RENEWED, again_in_s=round(wait_s, 1), **reason(fault))
            return
        self._failures[Action.RENEW] = 0
        self._again_in(Action.RENEW, rest_s(life))
        renewed = done.identity.certificate
        self._tell(
            Event.RENEWED,
            certificate_id=certificate_id(renewed),
            until=renewed.not_valid_after_utc,
            resumed=done.resumed,
        )

    async def _ask(self) -> None:
        try:
            async with self._changing:
                found = await asyncio.to_thread(refresh_trust, self._path, self._clock, self._network)
            if found.added or found.dropped or found.refused:
                counts = {name: len(getattr(found, name)) for name in ("trust", "added", "dropped", "refused")}
                self._tell(Event.TRUST_CHANGED, **counts)
            hint = await asyncio.to_thread(ask_hint, self._path, self._clock, self._network)
        except Fault as fault:
            wait_s = back_off_s(self._fail(Action.ASK), self._draw(), DEVICE_RETRY_S_MAX)
            self._again_in(Action.ASK, wait_s)
            self._tell(Event.HOME_NOT_ASKED, again_in_s=round(wait_s, 1), **reason(fault))
            return
        self._failures[Action.ASK] = 0
        self._hint = hint.window
        wait_s = ask_again_s(hint.ask_again_s)
        self._again_in(Action.ASK, wait_s)
        self._tell(
            Event.HOME_ASKED,
            renew_from=hint.window.start,
            renew_until=hint.window.end,
            again_in_s=round(wait_s),
        )

    def _fail(self, action: Action) -> int:
        """Count a failure; return how many there were in a row before."""
        self._failures[action] += 1
        return self._failures[action] - 1

    def _again_in(self, action: Action, wait_s: float) -> None:
        self._ready_at[action] = _time() + wait_s


def _time() -> float:
    """Return seconds of the loop's counter, which no clock moves."""
    return asyncio.get_running_loop().time()
