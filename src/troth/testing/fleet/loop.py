"""An event loop whose time is its own: it jumps to whatever is due next, so that ten years pass in minutes.

What would run in a thread runs at once, so that the same seed leads to the same order of everything.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
_RESOLUTION_S: Final = 1e-6
"""Above the rounding of a float that counts ten years in seconds."""


class Stuck(Exception):
    """Nothing is due any more and something is waited for."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without a real clock. Its `time` begins with 0."""

    def __init__(self) -> None:
        self._at_s = 0.0
        super().__init__(_Jumping(self.jump))
        self._clock_resolution = _RESOLUTION_S

    def time(self) -> float:
        """Return the seconds that have passed in here."""
        return self._at_s

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._at_s += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> "asyncio.Future[_T]":
        """Run it here and now."""
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # a cut is none of `Exception`, and goes where the caller is
            future.set_exception(error)
        return future

    def run_nested(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` to its end, also from within another loop. Raises `Stuck`, and what it raises."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return self.run_until_complete(work)
        finally:
            asyncio._set_running_loop(outer)


class LoopClock:
    """A `troth.clock.Clock`: the time of a loop, from a date on."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self._loop, self._start = loop, start

    def now(self) -> datetime:
        """Return the time, to the microsecond."""
        return self._start + timedelta(seconds=self._loop.time())


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: it lets time pass instead."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Stuck("nothing is due any more")
        if not ready and timeout is not None and timeout > 0:
            self._jump(timeout)
        return ready
