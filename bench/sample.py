"""One measurement of one server under one load."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench import machine
from bench.peers.peer import Peer
from bench.processes import cpu_s

_SETTLE_S: Final = 0.1
"""After the last answer a server still has something to put away: that is counted too."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one load. Everything of a server's that ran meanwhile is in `cpu_us`."""

    asked: int
    """How many connects or messages were sent."""
    done: int
    """How many of them came through."""
    cpu_us: Mapping[str, float]
    """Microseconds of CPU time for each that was asked, by part of the server."""
    per_s: float
    strangers: float = 0.0
    """The share of the machine that went to neither the server nor the load."""
    signature_us: float = 0.0
    """CPU time of a P-256 signature just before: how fast the machine was."""
    errors: tuple[str, ...] = ()

    @property
    def total_us(self) -> float:
        """The CPU time of all parts together."""
        return sum(self.cpu_us.values())

    @property
    def objection(self) -> str | None:
        """Why this can be compared with nothing; None when it can."""
        if not self.errors and self.done == self.asked:
            return None
        return "; ".join((f"{self.done:,} of {self.asked:,} came through", *self.errors[:1]))


@dataclass
class Tally:
    """Filled while a load runs."""

    done: int = 0
    errors: list[str] = field(default_factory=list)


class Meter:
    """Measures one server while a load of `asked` runs in the block of `running`."""

    def __init__(self, peer: Peer, asked: int) -> None:
        self.tally = Tally()
        self._peer = peer
        self._asked = asked
        self._cpu_s: dict[str, float] = {}
        self._load_s = 0.0
        self._strangers = 0.0
        self._signature_us = machine.signature_us()

    @contextmanager
    def running(self) -> Iterator[Tally]:
        """Watch the server for the length of the block."""
        began_s, busy_s, own_s, used_s = time.perf_counter(), machine.busy_s(), time.process_time(), self._used()
        yield self.tally
        self._load_s = time.perf_counter() - began_s
        time.sleep(_SETTLE_S)
        self._cpu_s = {part: after_s - used_s[part] for part, after_s in self._used().items()}
        foreign_s = machine.busy_s() - busy_s - (time.process_time() - own_s) - sum(self._cpu_s.values())
        # Ticks are coarse: in a short run the rest may come out below nothing.
        self._strangers = max(0.0, foreign_s / (time.perf_counter() - began_s) / (os.cpu_count() or 1))

    def sample(self) -> Sample:
        """Return what was measured."""
        return Sample(
            asked=self._asked,
            done=self.tally.done,
            cpu_us={part: used_s / self._asked * 1e6 for part, used_s in self._cpu_s.items()},
            per_s=self.tally.done / self._load_s,
            strangers=self._strangers,
            signature_us=self._signature_us,
            errors=tuple(self.tally.errors),
        )

    def _used(self) -> dict[str, float]:
        return {part: cpu_s(pids) for part, pids in self._peer.processes.items()}
