"""Judges readings one after the other and keeps count: the same when a bundle is made and when a stranger verifies it.

Pure: lines come in, what each is goes out, in the memory of one window for each signer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from troth.errors import PeerFault
from troth.evidence.judging import Judge, Judgement
from troth.evidence.outcome import Outcome
from troth.evidence.raw import RawReading, parse_raw
from troth.evidence.status import Proven
from troth.evidence.window import Window

TOLD_MAX: Final = 100
"""Readings that are told one by one because of what they are; the report has them all."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What one line is."""

    number: int
    """Its place among the readings, from 1."""
    raw: RawReading | None
    """None for a line that cannot be read."""
    judgement: Judgement

    def value(self) -> dict[str, object]:
        """Return it as reports have it."""
        reading, raw = self.judgement.reading, self.raw
        value: dict[str, object] = {"reading": self.number, "outcome": self.judgement.outcome}
        if raw is not None:
            value |= {"topic": raw.topic, "received": raw.received}
        if reading is not None:
            value |= {"thing": reading.thing, "certificate_id": reading.certificate_id}
            value |= {"at": reading.at, "sequence": reading.sequence}
        return value | ({"missing": self.judgement.missing} if self.judgement.missing else {})


class Examination:
    """One passage through a file of readings."""

    def __init__(self, proven: Proven) -> None:
        self.counts: Counter[Outcome] = Counter()
        self.missing = 0
        """Numbers that were left out."""
        self.untold = 0
        """Readings that are proven and came after the CAs last said how things stand: entries of the journal alone
        say that their certificates were in force."""
        self.told: list[Examined] = []
        """The first ones that are not simply verified."""
        self._told_until = proven.told_until
        self._judge = Judge(proven.signers, dict[str, Window]())

    @property
    def count(self) -> int:
        """How many readings there were."""
        return self.counts.total()

    @property
    def refused(self) -> int:
        """How many of them are not proven."""
        return sum(count for outcome, count in self.counts.items() if not outcome.is_proven)

    def take(self, lines: Iterable[bytes]) -> Iterator[Examined]:
        """Yield what each line is."""
        for line in lines:
            raw = None
            try:
                raw = parse_raw(line)
                judgement = self._judge.judge(raw.payload, raw.topic, raw.received)
            except PeerFault:
                judgement = Judgement(Outcome.MALFORMED)
            self.counts[judgement.outcome] += 1
            self.missing += judgement.missing
            examined = Examined(self.count, raw, judgement)
            if judgement.outcome is not Outcome.VERIFIED and len(self.told) < TOLD_MAX:
                self.told.append(examined)
            self._look(raw, judgement)
            yield examined

    def _look(self, raw: RawReading | None, judgement: Judgement) -> None:
        if judgement.reading is not None and raw is not None and judgement.outcome.is_proven:
            until = self._told_until.get(judgement.reading.certificate_id)
            if until is None or raw.received > until:
                self.untold += 1
