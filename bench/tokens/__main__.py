"""`python -m bench.tokens [--quick] [--tokens N] [--json FILE]`: tokens made by the list, and found one by one."""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from bench import machine
from troth.app import logs
from troth.enrollment.proofs.claim import Approval, Proof
from troth.enrollment.requests import file_request, find_request
from troth.enrollment.token_batches import create_tokens
from troth.enrollment.tokens import NewToken, find_token
from troth.journal.change import change
from troth.keys.file import generate
from troth.limits import TOKENS_PER_CHANGE_MAX
from troth.registry import tables
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm

ACTOR = "operator:bench"
GOAL_S = 10.0
FLAT_MOST = 3.0
"""How much longer a look-up may take among all than among a hundredth of them."""
ROUNDS = 200


def main() -> int:
    """Measure and print; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.tokens", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--tokens", type=int, default=100_000, help="how many are made")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    count = 2_000 if options.quick else options.tokens
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; SQLite, {count:,} tokens")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as name, TestAuthority(Path(name)) as authority:
        figures = measured(authority, count)
    for what, value in figures.items():
        print(f"  {what:<40}{value:>12.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=1) + "\n")
    is_flat = all(value < FLAT_MOST for what, value in figures.items() if what.endswith("ratio"))
    return 0 if options.quick or (is_flat and figures["tokens, s"] < GOAL_S) else 1


def measured(authority: TestAuthority, count: int) -> dict[str, float]:
    """Return seconds for all tokens, microseconds for a look-up early and late, and the ratio of these."""
    few = count // 100
    things = [f"lamp-{number:07}" for number in range(count)]
    make_things(authority, things)
    secrets = make_tokens(authority, things[:few])
    early = looked_up(authority, find_token, secrets)
    began = time.perf_counter()
    secrets = make_tokens(authority, things)
    took = time.perf_counter() - began
    late = looked_up(authority, find_token, secrets)
    digests = wait(authority, count // 100)
    among_few = looked_up(authority, lambda c, each: find_request(c, "asked", *each), digests)
    digests += wait(authority, min(count, 10_000) - len(digests), start=len(digests))
    among_all = looked_up(authority, lambda c, each: find_request(c, "asked", *each), digests)
    return {
        "tokens, s": took,
        "tokens a second": count / took,
        "a token among a hundredth, us": early,
        "a token among all, us": late,
        "tokens, ratio": late / early,
        "a request among few, us": among_few,
        "a request among 10,000, us": among_all,
        "requests, ratio": among_all / among_few,
    }


def make_things(authority: TestAuthority, names: Sequence[str]) -> None:
    """Put things there that tokens can be made for; how long that takes is not measured."""
    with change(authority.db, authority.clock, ACTOR) as changing:
        fixed: dict[str, object] = {
            "type": None,
            "attributes": {},
            "version": 1,
            "created_at": changing.at,
            "updated_at": changing.at,
        }
        changing.execute(tables.things.insert(), [{"name": name, **fixed} for name in names])
        changing.record("bench.things", "bench")


def make_tokens(authority: TestAuthority, things: Sequence[str]) -> list[str]:
    """Do what the command does for each batch of a list."""
    secrets = []
    for at in range(0, len(things), TOKENS_PER_CHANGE_MAX):
        with change(authority.db, authority.clock, ACTOR) as changing:
            made = create_tokens(changing, things[at : at + TOKENS_PER_CHANGE_MAX], timedelta(days=30))
        secrets += [each.secret for each in made if isinstance(each, NewToken)]
    return secrets


def wait(authority: TestAuthority, count: int, start: int = 0) -> list[tuple[str, str]]:
    """File so many requests that wait for a person; return thing and digest of each."""
    request = new_request(generate(KeyAlgorithm.P256), "any")
    things = [f"guest-{number:07}" for number in range(start, start + count)]
    with change(authority.db, authority.clock, ACTOR) as changing:
        for number, thing in enumerate(things):
            # No more than so many may wait from one address.
            approval = Approval(
                "asked", None, timedelta(days=7), 60.0, f"192.0.{number // 50 // 250}.{number // 50 % 250}"
            )
            file_request(changing, Proof("approval", thing, "device", {}, None), approval, request)
    return [(thing, request.digest) for thing in things]


def looked_up(authority: TestAuthority, find: Callable[..., object], wanted: Sequence[object]) -> float:
    """Return the median time of a look-up in microseconds."""
    step = max(1, len(wanted) // ROUNDS)
    times = []
    with read(authority.db) as connection:
        for each in wanted[::step]:
            began = time.perf_counter()
            found = find(connection, each)
            times.append(time.perf_counter() - began)
            if found is None:
                raise RuntimeError("what was put there is not found")
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    sys.exit(main())
