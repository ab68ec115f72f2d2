"""What becomes of intents: the wait for the authority's conclusions, and the certificates that came of them.

Holds up no event loop: what blocks runs in threads of its own. Knows no way of proving anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from troth.authority.intents import IntentState, find_conclusions, unknown_intent
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.together import Together
from troth.errors import Bug, Fault, Kind
from troth.limits import ENROLLMENTS_PER_CHANGE_MAX
from troth.registry.certificates import CertificateRow, find_certificates
from troth.store.connect import Database
from troth.store.read import read

RETRY_AFTER_S: Final = 5.0
_THREADS: Final = 4

_Parameters = ParamSpec("_Parameters")
_A = TypeVar("_A")
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
        self._looks = self.together(self._look)

    def close(self) -> None:
        """End the threads; what is under way in them is waited for."""
        self._threads.shutdown()

    async def in_thread(
        self, work: Callable[_Parameters, _T], *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _T:
        """Return what `work` returns, done in one of the threads. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def together(self, work: Callable[[Sequence[_A]], Sequence[_T | Exception]]) -> Together[_A, _T]:
        """Return what does `work`, in one of the threads, for all who ask for it at about the same time."""
        return Together(lambda asked: self.in_thread(work, asked), ENROLLMENTS_PER_CHANGE_MAX)

    async def issued(self, intent_id: str, *, is_new: bool = False) -> CertificateRow:
        """Return the certificate that comes of an intent, once the authority has concluded it.

        `is_new` says that it was committed just now. Raises the `Fault` that it was refused with; unavailable, with
        `retry_after`, when the authority has not come to it in time: it is not lost.
        """
        with self._conclusions.awaited(intent_id) as event:
            row = None if is_new else await self._looks.do(intent_id)
            if row is None:
                try:
                    async with asyncio.timeout(self._wait_s):
                        await event.wait()
                except TimeoutError:
                    pass
                row = await self._looks.do(intent_id)
        if row is None:
            raise Fault(
                Kind.UNAVAILABLE,
                "the authority has not come to this request yet",
                detail=f"intent {intent_id}",
                hint="send the same request again: it is not lost",
                retry_after=RETRY_AFTER_S,
            )
        return row

    def _look(self, intent_ids: Sequence[str]) -> list[CertificateRow | Exception | None]:
        """Return the certificate of each intent, None where it still waits, or the fault that it was refused with."""
        with read(self._db) as connection:
            found = find_conclusions(connection, intent_ids)
            rows = find_certificates(
                connection, [each.certificate_id for each in found.values() if each.certificate_id]
            )
        outcomes: list[CertificateRow | Exception | None] = []
        for intent_id in intent_ids:
            conclusion = found.get(intent_id)
            if conclusion is None:
                outcomes.append(unknown_intent(intent_id))
            elif conclusion.state is IntentState.REFUSED:
                outcomes.append(conclusion.refused())
            elif conclusion.certificate_id is None:
                outcomes.append(None)
            else:
                outcomes.append(rows.get(conclusion.certificate_id) or Bug("an issued certificate is not registered"))
        return outcomes
