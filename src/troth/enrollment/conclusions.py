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

_PAST_MAX: Final = 1000
"""Conclusions that are remembered: the authority is sometimes faster than the thread that has asked it."""
_CONCLUSIONS: Final = frozenset({CERTIFICATE_ISSUED, CERTIFICATE_REFUSED})


class Conclusions:
    """The intents that somebody in this process waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._past: dict[str, None] = {}

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for any."""
        return bool(self._waiting)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Wake whoever waits for what `entries` conclude."""
        for entry in entries:
            if entry.kind in _CONCLUSIONS:
                intent_id = str(entry.data.get("intent"))
                self._past[intent_id] = None
                if len(self._past) > _PAST_MAX:
                    del self._past[next(iter(self._past))]
                for event in self._waiting.get(intent_id, ()):
                    event.set()

    @contextmanager
    def awaited(self, intent_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set when an entry concludes the intent, or has done so a moment ago.

        Of what was concluded earlier nothing is heard: look at an intent that is not new after entering.
        """
        event = asyncio.Event()
        if intent_id in self._past:
            event.set()
        waiting = self._waiting.setdefault(intent_id, [])
        waiting.append(event)
        try:
            yield event
        finally:
            waiting.remove(event)
            if not waiting:
                del self._waiting[intent_id]
