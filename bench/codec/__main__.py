"""`python -m bench.codec [--quick] [--json FILE]`."""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import machine
from bench.codec.cases import PACKETS, cases

ROUNDS: Final = 200
QUICK_ROUNDS: Final = 2


def main() -> int:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.codec", description="Read and write MQTT packets.")
    parser.add_argument("--quick", action="store_true", help="to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    figures = {name: measure_us(work, rounds) for name, work in cases().items()}
    here = machine.describe()
    print(
        f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; least of {rounds} rounds of {PACKETS} packets"
    )
    print(f"a P-256 signature took {machine.signature_us():.0f} us")
    for name, figure_us in figures.items():
        print(f"  {name:<44}{figure_us:6.2f} us")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here, "us": figures}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure_us(work: Callable[[], object], rounds: int) -> float:
    """Return microseconds of CPU time for one packet: the least of the rounds, since others only ever add to it."""
    least_ns = None
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            began_ns = time.thread_time_ns()
            work()
            spent_ns = time.thread_time_ns() - began_ns
            least_ns = spent_ns if least_ns is None else min(least_ns, spent_ns)
    finally:
        gc.enable()
    assert least_ns is not None, "there is a round"
    return least_ns / PACKETS / 1000


if __name__ == "__main__":
    sys.exit(main())
