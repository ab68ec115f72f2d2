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
            began_s = time.process_time()
            for topic in asked:
                ask(topic)
            spent_s += time.process_time() - began_s
            done += len(asked)
    return spent_s / done * 1e6


def repeating_us(ask: Ask, topics: Sequence[str], asks: int, budget_s: float) -> float:
    """Return microseconds for each of so many questions about topics in turn, all of which were asked before."""
    for topic in topics:
        ask(topic)
    spent_s, done = 0.0, 0
    turn = list(itertools.islice(itertools.cycle(topics), max(len(topics), 1000)))
    with undisturbed():
        while done < asks and (spent_s < budget_s or not done):
            began_s = time.process_time()
            for topic in turn:
                ask(topic)
            spent_s += time.process_time() - began_s
            done += len(turn)
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
