"""What becomes of an intent: the wait for the authority's conclusion, and the certificate that came of it.

Holds up no event loop: what blocks runs in threads of its own. Knows no way of proving anything.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from troth.authority.intents import Intent, IntentState, get_intent
from troth.enrollment.conclusions import Conclusions
from troth.errors import Bug, Fault, Kind
from troth.registry.certificates import CertificateRow, find_certificate
from troth.store.connect import Database
from troth.store.read import read

RETRY_AFTER_S: Final = 5.0
_THREADS: Final = 4

_Parameters = ParamSpec("_Parameters")
_T = TypeVar("_T")


class Outcomes:
    """Waits for conclusions. One for each who enrolls in a process, in its event loop.

    `conclusions` must be fed from the journal for as long as this is used; `wait_s` is how long who asks is kept
    waiting; `name` is what its threads are called.
    """

    def __init__(self, db: Database, conclusions: Conclusions, wait_s: float, name: str) -> None:
        self._db = db
        self._conclusions = conclusions
        self._wait_s = wait_s
        # Threads of its own: a queue of enrollments must not keep followers of the journal waiting for theirs.
        self._threads = ThreadPoolExecutor(_THREADS, name)

    def close(self) -> None:
        """End the threads; what is under way in them is waited for."""
        self._threads.shutdown()

    async def in_thread(
        self, work: Callable[_Parameters, _T], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _T:
        """Return what `work` returns, done in one of the threads. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def concluded(self, intent_id: str) -> Intent:
        """Return the intent once it is issued or refused.

        Raises `Fault` (unavailable, with `retry_after`) when the authority has not come to it in time; it is not lost.
        """
        with self._conclusions.awaited(intent_id) as event:
            intent = await self.in_thread(self._intent, intent_id)
            if intent.state is IntentState.PREPARED:
                try:
                    async with asyncio.timeout(self._wait_s):
                        await event.wait()
                except TimeoutError:
                    pass
                intent = await self.in_thread(self._intent, intent_id)
        if intent.state is IntentState.PREPARED:
            raise Fault(
                Kind.UNAVAILABLE,
                "the authority has not come to this request yet",
                detail=f"intent {intent_id}",
                hint="send the same request again: it is not lost",
                retry_after=RETRY_AFTER_S,
            )
        return intent

    def _intent(self, intent_id: str) -> Intent:
        with read(self._db) as connection:
            return get_intent(connection, intent_id)


def issued(db: Database, intent: Intent) -> CertificateRow:
    """Return the certificate that came of a concluded intent. Raises the `Fault` that it was refused with."""
    if intent.state is IntentState.REFUSED:
        raise intent.refused()
    with read(db) as connection:
        row = find_certificate(connection, intent.certificate_id or "")
    if row is None:
        raise Bug("an issued certificate is not registered")
    return row
