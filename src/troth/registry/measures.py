"""What one worker of a gateway has carried since it started, for whoever watches it. Not state, and no history."""

import json
from bisect import bisect_left
from dataclasses import asdict, dataclass
from typing import Final

OPENING_S: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The bounds, in seconds, between which openings are counted; the last count is of those above all of them."""


@dataclass(frozen=True, slots=True)
class Measures:
    """All that is counted."""

    received_bytes: int = 0
    """MQTT from devices, as it came out of TLS."""
    sent_bytes: int = 0
    """MQTT to devices."""
    openings: tuple[int, ...] = (0,) * (len(OPENING_S) + 1)
    """Connections let in, by the time from the end of their handshake to their CONNACK."""
    openings_s: float = 0.0
    """The sum of these times."""
    is_upstream_up: bool = False
    """Whether the worker's own connection to the broker stands."""
    events_lost: int = 0
    """Events that the broker could not be given."""
    bytes_in_flight: int = 0
    """What waits in memory for slow readers."""
    paced: int = 0
    """How often nothing more was read from a connection for a while, since it was faster than it may be."""


def place_of(seconds: float) -> int:
    """Return in which of the counts of `openings` a time belongs."""
    return bisect_left(OPENING_S, seconds)


def render_measures(measures: Measures) -> str:
    """Return the measures as they are kept."""
    return json.dumps(asdict(measures), separators=(",", ":"))


def parse_measures(text: str) -> Measures:
    """Return the measures that are kept; what another version has written differently is left out."""
    found = json.loads(text)
    known = {name: found[name] for name in Measures.__slots__ if name in found}
    openings = tuple(known.get("openings", ()))
    if len(openings) != len(OPENING_S) + 1:
        known.pop("openings", None)
        known.pop("openings_s", None)
    else:
        known["openings"] = openings
    return Measures(**known)
