"""`python -m bench.issue [--quick] [--count N] [--database URL] [--json FILE]`."""

import argparse
import json
import logging
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.issue.measure import bare_per_s, measure
from bench.issue.site import make_site
from troth.app import logs

PER_S_MIN = 2200
SHARE_MIN = 0.1


def main() -> int:
    """Read the options, measure and print. 0: all were issued; 1: some were not."""
    parser = argparse.ArgumentParser(prog="python -m bench.issue", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--count", type=int, default=20_000, help="certificates in bulk")
    parser.add_argument("--database", default="sqlite:///troth.db", help="an empty one; by default SQLite in a file")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    count, single = (600, 20) if options.quick else (options.count, 200)
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        site = make_site(Path(folder), options.database)
        before = bare_per_s()
        bulk = measure(site, 0, count)
        bare = (before + bare_per_s()) / 2
        singly = measure(site, 2 * count, single, singly=True)
        site.db.dispose()
    share = bulk.per_s / bare
    print(f"bare P-256 signatures          {bare:>10,.0f} /s of one core")
    print(
        f"issued in bulk, {bulk.issued:,}        {bulk.per_s:>10,.0f} /s   CPU {bulk.cpu_us:.0f} us each: "
        f"{bulk.prepare_us:.0f} preparing, {bulk.authority_us:.0f} in the authority; others used {bulk.strangers:.0%}"
    )
    print(f"  of the bare rate             {share:>10.3f}   (goal {SHARE_MIN}; {PER_S_MIN:,} /s)")
    print(
        f"  by CPU time, on two cores    {2e6 / bulk.cpu_us:>10,.0f} /s   "
        f"{2e6 / bulk.cpu_us / bare:.3f} of the bare rate"
    )
    print(
        f"issued one by one, {singly.issued:,}         {singly.per_s:>10,.0f} /s   "
        f"CPU {singly.cpu_us / 1000:.2f} ms each: "
        f"{singly.prepare_us / 1000:.2f} preparing, {singly.authority_us / 1000:.2f} in the authority"
    )
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here, "bare_per_s": bare}
        report |= {"bulk": bulk.to_json(), "singly": singly.to_json(), "share": share}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if (bulk.issued, singly.issued) == (count, single) else 1


if __name__ == "__main__":
    sys.exit(main())
