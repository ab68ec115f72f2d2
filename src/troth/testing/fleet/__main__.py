"""python -m troth.testing.fleet: let a fleet live, and say what came of it."""

import argparse
import sys
from random import SystemRandom
from time import perf_counter

from troth.testing.fleet.lives import lived
from troth.testing.fleet.watcher import Broken
from troth.testing.fleet.world import Plan, World


def main() -> int:
    """Return 0 when every promise was kept, 1 when one was broken."""
    parser = argparse.ArgumentParser(prog="python -m troth.testing.fleet", description=__doc__)
    parser.add_argument("--seed", type=int, help="what it all follows from; drawn and printed if it is not given")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from that one on")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--years", type=float, default=10.0)
    asked = parser.parse_args()
    first = asked.seed if asked.seed is not None else SystemRandom().randrange(1_000_000)
    kept = [run(Plan(seed, asked.devices, asked.years)) for seed in range(first, first + asked.seeds)]
    return 0 if all(kept) else 1


def run(plan: Plan) -> bool:
    """Let one fleet live; say whether every promise was kept."""
    began = perf_counter()

    def progress(part: float, world: World) -> None:
        took = f"{perf_counter() - began:.0f} s"
        sys.stderr.write(f"\rseed {plan.seed}: {world.clock.now():%Y-%m}, {part:4.0%}, {took} ")
        sys.stderr.flush()

    try:
        outcome = lived(plan, progress)
    except Broken as broken:
        sys.stdout.write(f"\nseed {plan.seed}: BROKEN: {broken}\n")
        return False
    sys.stderr.write("\r")
    took = f"{perf_counter() - began:.0f} s"
    lines = [f"seed {plan.seed}: {plan.devices} devices, {plan.years:g} years in {took}, every promise kept"]
    lines += [f"  {name:20} {count:>8}" for name, count in outcome.counts.items()]
    sys.stdout.write("\n".join([*lines, f"  {outcome.digest}", ""]))
    sys.stdout.flush()
    return True


if __name__ == "__main__":
    sys.exit(main())
