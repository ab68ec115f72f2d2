"""Whether a message is the reading that it should be: judged against the keys that may have signed it. Pure.

The same for a gateway, which knows how things stand now, and for a stranger who knows from proofs how they stood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from troth.errors import PeerFault
from troth.evidence.outcome import Outcome
from troth.evidence.reading import Reading, looks_signed, parse_reading
from troth.evidence.window import Window
from troth.limits import READING_AHEAD_S_MAX
from troth.x509.algorithms import PublicKey
from troth.x509.times import is_in_time

ALWAYS: Final = datetime(1, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(seconds=READING_AHEAD_S_MAX)


class Standing(StrEnum):
    """How a certificate stood at a time."""

    IN_FORCE = "in-force"
    INACTIVE = "inactive"
    SUPERSEDED = "superseded"
    """Another does its work: what it signed before counts."""
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate whose key may sign readings."""

    certificate_id: str
    thing: str | None
    key: PublicKey
    not_before: datetime
    not_after: datetime
    history: tuple[tuple[datetime, Standing], ...]
    """How it stood since when, the oldest first; before the first it was not in force."""

    def standing(self, at: datetime) -> Standing:
        """Return how it stood at a time."""
        found = Standing.INACTIVE
        for since, standing in self.history:
            if since > at:
                break
            found = standing
        return found


@dataclass(frozen=True, slots=True)
class Judgement:
    """What came of it."""

    outcome: Outcome
    reading: Reading | None = None
    """What it says; None where it cannot be read. Not to be believed unless the outcome is proven."""
    missing: int = 0
    """How many numbers right before it did not come."""


class Judge:
    """Judges the readings of some signers, each in its row. `windows` may be shared; it gets a row for each signer."""

    def __init__(self, signers: Mapping[str, Signer], windows: dict[str, Window], thing: str | None = None) -> None:
        """`thing` is whose readings are expected; None: those of any signer's."""
        self._signers = signers
        self._windows = windows
        self._thing = thing

    def judge(self, payload: bytes, topic: str, received: datetime, *, again: bool = False) -> Judgement:
        """Return what a message on `topic` is that came at `received`. Its number is used up when all else is good."""
        if not looks_signed(payload):
            return Judgement(Outcome.UNSIGNED)
        try:
            signed = parse_reading(payload)
        except PeerFault:
            return Judgement(Outcome.MALFORMED)
        reading = signed.reading
        signer = self._signers.get(reading.certificate_id)
        if signer is None:
            is_moved = self._thing is not None and reading.thing != self._thing
            return Judgement(Outcome.MOVED_THING if is_moved else Outcome.WRONG_KEY, reading)
        if not signed.is_signed_by(signer.key):
            return Judgement(Outcome.ALTERED, reading)
        objection = _objection(reading, signer, topic, received)
        if objection is not None:
            return Judgement(objection, reading)
        window = self._windows.get(signer.certificate_id)
        if window is None:
            window = self._windows[signer.certificate_id] = Window()
        return Judgement(window.take(reading.sequence, payload, again=again), reading, window.missing)


def _objection(reading: Reading, signer: Signer, topic: str, received: datetime) -> Outcome | None:
    """Return what speaks against a reading that its signer has signed."""
    if reading.topic != topic:
        return Outcome.MOVED_TOPIC
    if reading.thing != signer.thing:
        return Outcome.MOVED_THING
    # When it was made is the device's word: whoever stole a key would say that it was before the revocation.
    then, now = signer.standing(reading.at), signer.standing(received)
    if then is Standing.SUPERSEDED:
        # The device's clock may be ahead of ours, and it signed this before it had the other.
        then = signer.standing(reading.at - _AHEAD)
    if Standing.REVOKED in {then, now}:
        return Outcome.REVOKED_KEY
    if then is not Standing.IN_FORCE or now is Standing.INACTIVE:
        return Outcome.INACTIVE_KEY
    if not is_in_time(signer.not_before, signer.not_after, reading.at):
        return Outcome.OUTSIDE_VALIDITY
    return Outcome.AHEAD_OF_TIME if reading.at > received + _AHEAD else None
