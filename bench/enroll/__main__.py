"""`python -m bench.enroll [--quick] [--count N] [--clients N] [--json FILE]`."""

import argparse
import json
import logging
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.enroll.load import Figure, client_tls, handshakes, measure, over_kept_connections, over_new_connections
from bench.enroll.site import bare, make_home, troth
from troth.app import logs

SHARE_MIN = 0.5
_BARE = "bare handshakes"
_NEW = "enrollments, new connections"
_KEPT = "enrollments, kept connections"


def run(folder: Path, count: int, clients: int) -> dict[str, Figure]:
    """Return the figures by load: handshakes before and after the enrollments, so that the machine's moods even out."""
    home, posts = make_home(folder, 2 * count + 2 * clients)
    context = client_tls(home / "root.pem")
    warm, first, second = posts[: 2 * clients], posts[2 * clients : 2 * clients + count], posts[2 * clients + count :]
    figures: dict[str, Figure] = {}
    with bare(home, folder) as server, troth(home, folder) as ours:
        measure(server, handshakes(server, context), warm, clients)
        measure(ours, over_new_connections(ours, context), warm, clients)
        figures[_BARE] = measure(server, handshakes(server, context), first, clients)
        figures[_NEW] = measure(ours, over_new_connections(ours, context), first, clients)
        figures[_KEPT] = measure(ours, over_kept_connections(ours, context), second, clients)
        figures[f"{_BARE}, again"] = measure(server, handshakes(server, context), first, clients)
    return figures


def main() -> int:
    """Read the options, measure and print. 0: all were enrolled; 1: some were not."""
    parser = argparse.ArgumentParser(prog="python -m bench.enroll", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--count", type=int, default=2000, help="enrollments of each kind")
    parser.add_argument("--clients", type=int, default=64, help="how many ask at once")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    count = 24 if options.quick else options.count
    here = machine.describe()
    print(
        f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}; "
        f"a P-256 signature takes {machine.signature_us():.0f} us just now; {options.clients} clients at once"
    )
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        figures = run(Path(folder), count, options.clients)
    print(f"{'':<32}{'done':>7}  {'per s':>7}  {'CPU us each':>11}  of which")
    for name, figure in figures.items():
        parts = ", ".join(f"{part} {used:,.0f}" for part, used in figure.cpu_us.items())
        print(
            f"{name:<32}{figure.done:>7,}  {figure.per_s:>7,.0f}  {figure.total_us:>11,.0f}  {parts}; "
            f"the load {figure.load_us:,.0f}; others used {figure.strangers:.0%}"
        )
        if figure.error is not None:
            print(f"  {figure.error}")
    ratios = _ratios(figures)
    for name, ratio in ratios.items():
        print(f"{name:<58} {ratio:.2f}   (goal {SHARE_MIN})")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here, "ratios": ratios}
        report["figures"] = {name: figure.to_json() for name, figure in figures.items()}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(figure.done == figure.asked and figure.error is None for figure in figures.values()) else 1


def _ratios(figures: dict[str, Figure]) -> dict[str, float]:
    before, after = figures[_BARE], figures[f"{_BARE}, again"]
    per_s, us = (before.per_s + after.per_s) / 2, (before.total_us + after.total_us) / 2
    ratios = {}
    for name in (_NEW, _KEPT):
        figure = figures[name]
        ratios[f"{name}, to bare handshakes, per s"] = figure.per_s / per_s
        ratios[f"{name}, to bare handshakes, by CPU time"] = us / figure.total_us
    return ratios


if __name__ == "__main__":
    sys.exit(main())
