"""What a device's agent does next and when, as a function of what it knows: no clock, no disk, no network, no chance.

Two kinds of time: what o'clock it is may be unknown, wrong or set, and only certificates are judged by it; waits are
seconds of a counter that goes forward, whatever the clock does. The window is RFC 9773's (4.2), brought to EST by
draft-ietf-lamps-est-renewal-info.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509

from troth.limits import (
    DEVICE_ASK_S_MAX,
    DEVICE_ASK_S_MIN,
    DEVICE_BACK_OFF_S_MIN,
    DEVICE_LOOK_S_MAX,
    DEVICE_RETRY_S_MAX,
)
from troth.protocols.renewal_info import Window
from troth.x509.certificates import certificate_id

OWN_RATIO: Final = 0.7
OWN_SPREAD: Final = 0.1
"""Without a word of the home a certificate is renewed when this much of its life is over, and up to so much later."""
LATEST: Final = 0.9
"""Whatever the home says, it is renewed by then."""
ASK_AGAIN_S: Final = 6 * 3600.0
"""When the home is asked again that has not said when."""
_DOUBLINGS_MAX: Final = 30
_NEAR_END_S: Final = 60.0
"""However near the end is, two attempts are at least half as far apart."""


class Action(StrEnum):
    """What is to be done."""

    LEARN_TIME = "learn-time"
    """Find out what time it is; nothing else can be judged before."""
    RENEW = "renew"
    """Get the next certificate, or finish getting it."""
    ASK = "ask"
    """Ask the home when to renew, and which roots are in force."""
    LOOK = "look"
    """Nothing: look again, since the clock may have been set."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of the certificate in use."""

    not_before: datetime
    not_after: datetime
    lot: float
    """The certificate's own number from 0 to below 1, by which a fleet spreads."""
    unfinished: bool = False
    """Whether a renewal of it was begun and not ended."""

    def ends_in_s(self, now: datetime) -> float:
        """Return how many seconds it is valid for; negative when it has expired."""
        return (self.not_after - now).total_seconds()


@dataclass(frozen=True, slots=True)
class Known:
    """All that the next step depends on."""

    now: datetime | None
    """The time, where it is known and can be trusted."""
    life: Life
    hint: Window | None = None
    """What the home has said of this certificate."""
    ready_in_s: Mapping[Action, float] = field(default_factory=dict)
    """How long each action has to wait, by what came of it the last time; what is not named need not."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done, and in how many seconds."""

    action: Action
    in_s: float


def next_step(known: Known) -> Step:
    """Return what is to be done next; never further away than `DEVICE_LOOK_S_MAX`."""
    if known.now is None:
        step = Step(Action.LEARN_TIME, _ready(known, Action.LEARN_TIME))
    else:
        due_s = (due_at(known.life, known.hint) - known.now).total_seconds()
        renew = Step(Action.RENEW, max(0.0 if known.life.unfinished else due_s, _ready(known, Action.RENEW)))
        step = min(renew, Step(Action.ASK, _ready(known, Action.ASK)), key=lambda each: each.in_s)
    return step if step.in_s <= DEVICE_LOOK_S_MAX else Step(Action.LOOK, DEVICE_LOOK_S_MAX)


def due_at(life: Life, hint: Window | None) -> datetime:
    """Return when a certificate is to be renewed: at its own moment of the home's window, but never too late."""
    lasts = life.not_after - life.not_before
    latest = life.not_before + lasts * LATEST
    if hint is None:
        return life.not_before + lasts * (OWN_RATIO + OWN_SPREAD * life.lot)
    return min(hint.start + (hint.end - hint.start) * life.lot, latest)


def ask_again_s(told_s: float | None) -> float:
    """Return how long an answer of the home is gone by, which may have said so itself."""
    return min(max(told_s if told_s is not None else ASK_AGAIN_S, DEVICE_ASK_S_MIN), DEVICE_ASK_S_MAX)


def back_off_s(failures: int, draw: float, most_s: float) -> float:
    """Return the wait after so many failures in a row: doubling, bounded, and between a half and all of that by lot.

    `draw` is a number from 0 to below 1, new each time.
    """
    most = min(DEVICE_BACK_OFF_S_MIN * 2.0 ** min(failures, _DOUBLINGS_MAX), most_s)
    return most * (0.5 + draw / 2)


def renew_again_s(failures: int, draw: float, left_s: float | None, told_s: float | None) -> float:
    """Return the wait after a renewal that has failed: shorter when the end is near, longer when the home says so.

    `left_s` is how long the certificate is valid yet (None: unknown), `told_s` the home's Retry-After. That of the
    home is heeded as far as it leaves time for three more attempts; after the end up to `DEVICE_RETRY_S_MAX`.
    """
    left = left_s if left_s is not None and left_s > 0 else 8 * DEVICE_RETRY_S_MAX
    own = back_off_s(failures, draw, max(_NEAR_END_S, min(DEVICE_RETRY_S_MAX, left / 8)))
    if told_s is None:
        return own
    heeded = left / 4 if left_s is not None and left_s > 0 else DEVICE_RETRY_S_MAX
    return max(own, min(told_s * (1 + draw / 10), max(heeded, _NEAR_END_S)))


def rest_s(life: Life) -> float:
    """Return how long a certificate that is new is left alone, whatever the home says of it."""
    return min((life.not_after - life.not_before) / timedelta(seconds=10), DEVICE_RETRY_S_MAX)


def life_of(certificate: x509.Certificate, *, unfinished: bool = False) -> Life:
    """Return what counts of a certificate. Its lot is its id's, in other bits than those that the home draws by."""
    lot = int(certificate_id(certificate)[8:16], 16) / 2**32
    return Life(certificate.not_valid_before_utc, certificate.not_valid_after_utc, lot, unfinished)


def _ready(known: Known, action: Action) -> float:
    return max(0.0, known.ready_in_s.get(action, 0.0))
