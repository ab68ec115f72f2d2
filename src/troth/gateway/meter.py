"""Counts what one worker carries: plain numbers, so that a message pays for an addition and nothing else."""

from troth.registry.measures import OPENING_S, Measures, place_of


class Meter:
    """The counters of one worker; sessions add to them, the report reads them."""

    __slots__ = ("openings", "openings_s", "paced", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.received_bytes = 0
        self.sent_bytes = 0
        self.openings = [0] * (len(OPENING_S) + 1)
        self.openings_s = 0.0
        self.paced = 0

    def opened(self, seconds: float) -> None:
        """A connection was let in so long after the end of its handshake."""
        self.openings[place_of(seconds)] += 1
        self.openings_s += seconds

    def read(self, *, is_upstream_up: bool, events_lost: int, bytes_in_flight: int) -> Measures:
        """Return what has been counted so far, and how things stand."""
        return Measures(
            self.received_bytes,
            self.sent_bytes,
            tuple(self.openings),
            self.openings_s,
            is_upstream_up,
            events_lost,
            bytes_in_flight,
            self.paced,
        )
