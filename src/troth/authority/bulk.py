"""Many certificates for one who may have them: batches of intents through the one door, several of them under way.

While the authority signs one batch the next is prepared, so that both processes work. What is asked for again finds the
certificate that it has led to before: a run that was cut off anywhere is finished by giving it again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from troth.authority.intents import Conclusion, Intent, IntentState, any_prepared, find_conclusions, find_requested
from troth.authority.issue import Wanted, prepare_many
from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.journal.change import CHANNEL, change
from troth.limits import INTENTS_PER_CHANGE_MAX
from troth.registry.certificates import CertificateRow, CertificateState, find_certificates
from troth.store.connect import Database
from troth.store.read import read
from troth.store.watch import Watch, watch

BATCHES_UNDER_WAY_MAX: Final = 3
"""One that is signed, one that waits for it, one that is prepared."""
POLL_S: Final = 0.01
RETRY_AFTER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one certificate that was wanted: it, or why there is none."""

    wanted: Wanted
    outcome: CertificateRow | Fault


@dataclass(frozen=True, slots=True)
class _Batch:
    wanted: tuple[Wanted, ...]
    outcomes: tuple[Intent | Fault, ...]

    @property
    def intent_ids(self) -> list[str]:
        return [outcome.intent_id for outcome in self.outcomes if isinstance(outcome, Intent)]


@dataclass(frozen=True, slots=True)
class Issuance:
    """How bulk issuance reaches its database and its authority."""

    db: Database
    clock: Clock
    actor: str
    public_url: str
    rouse: Callable[[], object]
    """Called after each commit of intents, in a thread: rings for the authority, or does its work here."""
    wait_s: float
    """How long to wait for the authority when nothing comes from it."""

    async def answers(self, wanted: Iterable[Wanted]) -> AsyncIterator[list[Answer]]:
        """Yield what came of all that is wanted, batch by batch, in order.

        A certificate that the authority has not come to in time is answered with a fault (unavailable); it is not lost
        and is found when it is asked for again. Raises `Fault` (unavailable) when the database does not answer.
        """
        under_way: deque[_Batch] = deque()
        async with watch(self.db, CHANNEL, POLL_S) as commits:
            for part in _batches(wanted):
                under_way.append(await asyncio.to_thread(self._prepare, part))
                if len(under_way) >= BATCHES_UNDER_WAY_MAX:
                    yield await self._answered(under_way.popleft(), commits)
            while under_way:
                yield await self._answered(under_way.popleft(), commits)

    def _prepare(self, wanted: tuple[Wanted, ...]) -> _Batch:
        with change(self.db, self.clock, self.actor) as changing:
            earlier = _earlier(changing.connection, wanted)
            new = [each for each in wanted if _key(each) not in earlier]
            made = iter(prepare_many(changing, new, self.public_url))
            outcomes = tuple(earlier.get(_key(each)) or next(made) for each in wanted)
        self.rouse()
        return _Batch(wanted, outcomes)

    async def _answered(self, batch: _Batch, commits: Watch) -> list[Answer]:
        while True:
            answers = await asyncio.to_thread(self._look, batch)
            if answers is not None:
                return answers
            try:
                async with asyncio.timeout(self.wait_s):
                    while not await commits.wait():
                        pass
            except TimeoutError:
                return await asyncio.to_thread(self._give_up, batch)

    def _look(self, batch: _Batch) -> list[Answer] | None:
        """Return the answers once all intents of the batch are concluded or refused."""
        with read(self.db) as connection:
            if any_prepared(connection, batch.intent_ids):
                return None
            return _answers(connection, batch, find_conclusions(connection, batch.intent_ids))

    def _give_up(self, batch: _Batch) -> list[Answer]:
        with read(self.db) as connection:
            return _answers(connection, batch, find_conclusions(connection, batch.intent_ids))


def _batches(wanted: Iterable[Wanted]) -> Iterator[tuple[Wanted, ...]]:
    """Yield parts of one change each; a request that is repeated starts the next part, where it finds its answer."""
    rest = iter(wanted)
    while part := tuple(islice(rest, INTENTS_PER_CHANGE_MAX)):
        unique: dict[_Key, Wanted] = {}
        for each in part:
            if _key(each) in unique:
                yield tuple(unique.values())
                unique = {}
            unique[_key(each)] = each
        yield tuple(unique.values())


_Key = tuple[str, str, str | None, object]
"""What makes two wishes the same: request, profile, thing or name."""


def _key(wanted: Wanted) -> _Key:
    return wanted.request.digest, wanted.profile, wanted.thing, wanted.name


def _earlier(connection: Connection, wanted: Sequence[Wanted]) -> dict[_Key, Intent]:
    """Return the intents that these wishes have led to before and that still stand."""
    asked = {_key(each): each.method for each in wanted}
    found: dict[_Key, Intent] = {}
    for intent in find_requested(connection, [each.request.digest for each in wanted]):
        key = (intent.request_digest, intent.profile, intent.thing, intent.proof.get("name"))
        if asked.get(key) == intent.method and intent.state is not IntentState.REFUSED:
            found[key] = intent
    certificates = find_certificates(
        connection, [each.certificate_id for each in found.values() if each.certificate_id]
    )
    return {key: intent for key, intent in found.items() if _stands(intent, certificates)}


def _stands(intent: Intent, certificates: dict[str, CertificateRow]) -> bool:
    if intent.state is IntentState.PREPARED:
        return True
    row = certificates.get(intent.certificate_id or "")
    return row is not None and row.state is CertificateState.ACTIVE


def _answers(connection: Connection, batch: _Batch, intents: dict[str, Conclusion]) -> list[Answer]:
    issued = [intent.certificate_id for intent in intents.values() if intent.certificate_id is not None]
    certificates = find_certificates(connection, issued)
    return [
        Answer(wanted, outcome if isinstance(outcome, Fault) else _came(intents[outcome.intent_id], certificates))
        for wanted, outcome in zip(batch.wanted, batch.outcomes, strict=True)
    ]


def _came(intent: Conclusion, certificates: dict[str, CertificateRow]) -> CertificateRow | Fault:
    if intent.state is IntentState.REFUSED:
        return intent.refused()
    if intent.certificate_id is not None:
        return certificates[intent.certificate_id]
    return Fault(
        Kind.UNAVAILABLE,
        "the authority has not come to this request yet",
        detail=f"intent {intent.intent_id}",
        hint="ask again with the same request: it is not lost",
        retry_after=RETRY_AFTER_S,
    )
