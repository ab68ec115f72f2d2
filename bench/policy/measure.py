"""The clock of these benchmarks: CPU time of this process, since the machine belongs to others as well."""

import gc
import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bench.policy.engines import Ask

_WARM: Final = 20
"""Questions before the clock starts: the first of a connection makes ready what the others find."""
_AT_ONCE: Final = 50
"""Questions between two looks at the clock."""
_KNOWN: Final = 1000
"""Topics that are asked about beforehand; more than anybody remembers."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the garbage collector out of the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def asking_us(make: Callable[[], Ask], topics: Callable[[], Sequence[str]], asks: int, budget_s: float) -> float:
    """Return microseconds for each of so many first questions, or as many as the budget of CPU time allows.

    `make` gives one who has seen no topic yet, `topics` strings that nobody has looked up; both as often as needed.
    """
    spent_s, done = 0.0, 0
    with undisturbed():
        while done < asks and (spent_s < budget_s or not done):
            ask = make()
            for number in range(_WARM):
                ask(f"first/{number}")
            asked = topics()
            for at in range(0, len(asked), _AT_ONCE):
                part = asked[at : at + _AT_ONCE]
                began_s = time.process_time()
                for topic in part:
                    ask(topic)
                spent_s += time.process_time() - began_s
                done += len(part)
                if spent_s > budget_s:
                    break
    return spent_s / done * 1e6


def repeating_us(ask: Ask, topics: Sequence[str], asks: int, budget_s: float) -> float:
    """Return microseconds for each of so many questions about topics in turn, all of which were asked before."""
    for topic in topics[:_KNOWN]:
        ask(topic)
    spent_s, done = 0.0, 0
    turns = itertools.cycle(topics)
    with undisturbed():
        while done < asks and (spent_s < budget_s or not done):
            part = list(itertools.islice(turns, _AT_ONCE))
            began_s = time.process_time()
            for topic in part:
                ask(topic)
            spent_s += time.process_time() - began_s
            done += len(part)
    return spent_s / done * 1e6


def call_us(call: Callable[[], object], times: int) -> float:
    """Return microseconds for each of so many calls."""
    with undisturbed():
        began_s = time.process_time()
        for _ in range(times):
            call()
        return (time.process_time() - began_s) / times * 1e6


def kept_bytes(make: Callable[[], object], count: int) -> float:
    """Return the bytes that each of so many things takes that `make` makes and that are kept."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [make() for _ in range(count)]
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / len(kept)
