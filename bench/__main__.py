"""`python -m bench [--quick] [--json FILE]`."""

import argparse
import logging
import sys
from pathlib import Path

from bench.plan import FULL, QUICK
from bench.run import run
from troth.app import logs


def main() -> int:
    """Read the options and run. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Compare Troth with Mosquitto and NATS under one load (docs/benchmarks.md)."
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    return run(QUICK if options.quick else FULL, options.json)


if __name__ == "__main__":
    sys.exit(main())
