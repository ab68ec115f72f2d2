"""`python -m bench.crl [--quick] [--json FILE]`: revoking, and publishing what is revoked, at a fleet's scale."""

import argparse
import json
import logging
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import machine
from bench.crl.measure import Publisher, Revoking, forget_peak, peak_mib, revoke_in_bulk, revoke_singly, settle
from bench.million import MILLION, fill
from troth.app import logs

WHOLE_MS_MAX: Final = 1000.0
SHARD_MS_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    certificates: int
    revoked: int
    singly: int
    rounds: int


FULL: Final = Size(MILLION, 100_000, 200, 5)
QUICK: Final = Size(5000, 500, 20, 1)


def main() -> int:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.crl", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    logs.configure("bench", "console", level=logging.WARNING)
    size = QUICK if options.quick else FULL
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        filled = fill(Path(folder), size.certificates, revoked_one_in=0)
        settle(filled)
        publisher = Publisher(filled)
        publisher.publish("empty", [None], 1)
        before = revoke_singly(filled, size.singly, 0)
        revoke_in_bulk(filled, size.revoked - size.singly)
        after = revoke_singly(filled, size.singly, size.revoked)
        resting = forget_peak()
        whole = publisher.publish("whole", [None], size.rounds)
        peak = peak_mib()
        shards = publisher.publish("shard", range(publisher.issuer.shards), size.rounds)
        filled.authority.close()
    ratio = after.median_us / before.median_us
    print(f"{size.certificates:,} certificates of one CA, over {publisher.issuer.shards} shards")
    for each in (before, after):
        print(
            f"revoke one, {each.revoked_before:>7,} revoked before {each.median_us / 1000:>8.2f} ms"
            f"   CPU {each.cpu_us / 1000:.2f} ms, {each.cpu_us / each.signature_us:.0f} times a P-256 signature's"
        )
    print(f"  ratio                            {ratio:>8.2f}      CPU, in signatures, {_ratio(before, after):.2f}")
    for found, most in ((whole, WHOLE_MS_MAX), (shards, SHARD_MS_MAX)):
        print(
            f"publish a {found.what:<6}{found.entries:>8,} entries{found.bytes:>11,} bytes"
            f"{found.median_ms:>9.1f} ms   CPU {found.cpu_ms:.1f} ms   worst {found.worst_ms:.1f} ms (goal {most:.0f})"
        )
    print(f"peak memory {peak:.0f} MiB, {peak - resting:.0f} MiB of it for the whole CRL and its delta")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here, "peak_mib": peak}
        report |= {"revoking": [before.to_json(), after.to_json()], "ratio": ratio, "cpu_ratio": _ratio(before, after)}
        report |= {"publishing": [whole.to_json(), shards.to_json()]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def _ratio(before: Revoking, after: Revoking) -> float:
    return after.cpu_us / after.signature_us / (before.cpu_us / before.signature_us)


if __name__ == "__main__":
    sys.exit(main())
