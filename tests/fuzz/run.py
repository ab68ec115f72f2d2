"""Runs a fuzz target under its limits: ``python -m tests.fuzz.run TARGET [--inputs N] [--seed S]``.

Inputs are seeds, changed at random; the same seed of chance gives the same inputs on every machine. Memory is limited
by the kernel (``RLIMIT_AS``), CPU time for each input by a timer and for the whole run by the kernel (``RLIMIT_CPU``).
`tests.fuzz.led` has atheris lead.
"""

import argparse
import random
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from tests.fuzz.targets import TARGETS, Target

RUN_S: Final = 120
"""CPU time of a run."""
_SHOWN_BYTES: Final = 400
_CHANGES_MAX: Final = 5
_KINDLY: Final = 0.75
"""The share of inputs that are changed in the target's own way, where it has one."""
_REPEATS: Final = (2, 10, 100, 1000, 10_000)


class TooSlow(Exception):
    """One input took longer than the target may."""


def limit_memory(target: Target) -> None:
    """Give the process what it has now, and what the target may take beyond."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + target.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Interrupt the block after so much CPU time."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def inputs(target: Target, count: int, seed: int) -> Iterator[bytes]:
    """Yield the seeds, and then so many changed ones."""
    yield from target.seeds
    chance = random.Random(seed)
    for _ in range(count):
        data = chance.choice(target.seeds)
        kindly = target.vary is not None and chance.random() < _KINDLY
        for _ in range(chance.randint(1, _CHANGES_MAX)):
            data = target.vary(data, chance) if kindly and target.vary else changed(data, target, chance)
        yield data[: target.bytes_max]


def changed(data: bytes, target: Target, chance: random.Random) -> bytes:
    """Return the data with one change."""
    start, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    match chance.randrange(6):
        case 0:
            return data[:start] + chance.choice(target.words) + data[start:]
        case 1:
            return data[:start] + chance.choice(target.words) + data[end:]
        case 2:
            return data[:start] + data[end:]
        case 3:
            return data[:start] + chance.randbytes(chance.randint(1, 4)) + data[start:]
        case 4:
            part = data[start:end][:100] or chance.choice(target.words)
            return data[:start] + part * min(chance.choice(_REPEATS), target.bytes_max // len(part)) + data[start:]
        case _:
            return data[:start] + chance.choice(target.seeds)[end:]


def run(target: Target, count: int, seed: int) -> int:
    """Put inputs to a target. Returns the exit code."""
    resource.setrlimit(resource.RLIMIT_CPU, (RUN_S, RUN_S))
    limit_memory(target)
    for number, data in enumerate(inputs(target, count, seed)):
        try:
            with limit_time(target.input_s):
                target.check(data)
        except Exception as error:
            shown = data[:_SHOWN_BYTES]
            print(f"input {number} of seed {seed}, {len(data)} bytes: {shown!r}: {error!r}", file=sys.stderr)
            raise
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzz one target under its limits.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return run(TARGETS[options.target], options.inputs, options.seed)


if __name__ == "__main__":
    sys.exit(main())
