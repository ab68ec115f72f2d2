"""Work for all who ask at about the same time, done at once: while one batch is under way, the next one gathers.

So a change and its commit are shared by as many as come while the one before it takes its time; who comes after a pause
waits for nobody. Knows nothing of what is done. For one event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

_A = TypeVar("_A")
_T = TypeVar("_T")


class Together(Generic[_A, _T]):
    """`work` is given up to `most` of what was asked for, oldest first; it returns what came of each, in their order.

    An exception in the place of an outcome is raised to who asked for that one; one that `work` raises, to all of them.
    From the end of one batch to the next there are `pause_s` seconds, which lets batches grow when many ask.
    """

    def __init__(
        self, work: Callable[[Sequence[_A]], Awaitable[Sequence[_T | Exception]]], most: int, pause_s: float = 0.0
    ) -> None:
        self._work = work
        self._most = most
        self._pause_s = pause_s
        self._next_s = 0.0
        self._waiting: list[tuple[_A, asyncio.Future[_T]]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, asked: _A) -> _T:
        """Return what came of it. Whoever is cancelled meanwhile may have asked in vain, or not."""
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off())
        return await future

    async def _work_off(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await asyncio.sleep(self._next_s - loop.time())
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._work_on(batch)
                self._next_s = loop.time() + self._pause_s
        finally:
            self._working = None

    async def _work_on(self, batch: Sequence[tuple[_A, asyncio.Future[_T]]]) -> None:
        try:
            outcomes = await self._work([asked for asked, _ in batch])
        except Exception as error:
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
