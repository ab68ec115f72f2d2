"""`python -m bench.policy [--quick] [--json FILE]`."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.policy.engines import ENGINES
from bench.policy.figures import FULL, QUICK, disagreements, measure
from bench.policy.report import goals, ratios, render, to_json

DISAGREED = 1


def main() -> int:
    """Read the options, measure and print. 0: every engine answers alike; 1: one does not, and nothing is compared."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.policy", description="Compare Troth's decisions with those of other engines."
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every sample to FILE")
    options = parser.parse_args()
    wrong = list(disagreements())
    if wrong:
        print(f"no figures: {len(wrong)} answers are not ours, the first of {wrong[0]}", file=sys.stderr)
        return DISAGREED
    plan = QUICK if options.quick else FULL
    found = measure(plan, lambda text: print(text, file=sys.stderr, flush=True))
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; CPU time, median of {plan.rounds} rounds")
    for name, engine in ENGINES.items():
        installed = "not installed: pip install troth[bench]" if engine.version is None else engine.version
        print(f"  {name:<14}{engine.what}{f' ({installed})' if installed else ''}")
    for table in found.tables:
        print(f"\n{render(found, table)}")
    print(f"\n{ratios(found)}\n\n{goals(found)}")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here} | to_json(found)
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
