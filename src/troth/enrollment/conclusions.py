"""Wakes those who wait for the conclusion of an intent, by the journal's entries that it is given.

Holds no state that matters: who wakes looks into the database. For one event loop.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from troth.authority.issue import CERTIFICATE_REFUSED
from troth.journal.record import Entry
from troth.registry.certificates import CERTIFICATE_ISSUED

_CONCLUSIONS: Final = frozenset({CERTIFICATE_ISSUED, CERTIFICATE_REFUSED})


class Conclusions:
    """The intents that somebody in this process waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Event]] = {}

    def apply(self, entries: Sequence[Entry]) -> None:
        """Wake whoever waits for what `entries` conclude."""
        if not self._waiting:
            return
        for entry in entries:
            if entry.kind in _CONCLUSIONS:
                for event in self._waiting.get(str(entry.data.get("intent")), ()):
                    event.set()

    @contextmanager
    def awaited(self, intent_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set when an entry concludes the intent. Look at the intent again after entering."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(intent_id, [])
        waiting.append(event)
        try:
            yield event
        finally:
            waiting.remove(event)
            if not waiting:
                del self._waiting[intent_id]
