"""`python -m bench.ocsp [--quick] [--json FILE]`: kept OCSP answers over HTTP, beside `openssl ocsp`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.ocsp.load import Figure, get, over_kept_connections, over_new_connections, post, requests
from bench.processes import START_S, free_port, running, tail

PER_CORE_S_MIN = 5000


@contextmanager
def ours(folder: Path, count: int) -> Iterator[tuple[int, int]]:
    """Yield the port and the process id of our public door, in a process with nothing else to do."""
    command = [sys.executable, "-m", "bench.ocsp.site", str(folder), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())["port"], process.pid
        process.stdin.close()


@contextmanager
def openssl(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield the port and the process id of a responder of OpenSSL for the same certificates."""
    port, log = free_port(), folder / "openssl.log"
    files = {"-index": "index.txt", "-CA": "issuer.pem", "-rsigner": "signer.pem", "-rkey": "signer.key"}
    named = [word for option, name in files.items() for word in (option, str(folder / name))]
    command = ["openssl", "ocsp", *named, "-nmin", "60", "-port", str(port), "-ignore_err"]
    with running(command, log) as process:
        deadline = time.monotonic() + START_S
        # It says so. A connection to find out, closed again, would keep it waiting for ever.
        while "waiting for OCSP client" not in tail(log):
            assert process.poll() is None, tail(log)
            assert time.monotonic() < deadline, "openssl ocsp does not come up"
            time.sleep(0.05)
        yield port, process.pid


def run(folder: Path, certificates: int, count: int) -> dict[str, Figure]:
    """Return the figures by what was asked for."""
    figures: dict[str, Figure] = {}
    with ours(folder, certificates) as (port, pid):
        plain, nonced = requests(folder), requests(folder, nonce=True)
        gets = [get("/ocsp", each) for each in plain]
        figures["first asked for"] = over_kept_connections(port, pid, gets, certificates)
        figures["kept, GET"] = over_kept_connections(port, pid, gets, count)
        figures["kept, POST"] = over_kept_connections(port, pid, [post("/ocsp", each) for each in plain], count)
        figures["kept, GET, new connections"] = over_new_connections(port, pid, gets, count // 4)
        figures["with nonces, POST"] = over_kept_connections(
            port, pid, [post("/ocsp", each) for each in nonced], count // 2
        )
    with openssl(folder) as (port, pid):
        posts = [post("/", each) for each in plain]
        figures["openssl ocsp, new connections"] = over_new_connections(port, pid, posts, count // 8)
    return figures


def main() -> int:
    """Read the options, measure and print. 0: every certificate was told to be good; 1: some were not."""
    parser = argparse.ArgumentParser(prog="python -m bench.ocsp", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    certificates, count = (64, 800) if options.quick else (1000, 20_000)
    here = machine.describe()
    print(
        f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; load {os.getloadavg()[0]:.2f}; "
        f"a P-256 signature takes {machine.signature_us():.0f} us just now"
    )
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as folder:
        figures = run(Path(folder), certificates, count)
    print(f"{'':<32}{'answers':>8}  {'per s of a core':>15}  {'per s, wall':>12}")
    for name, figure in figures.items():
        wall = figure.answers / figure.wall_s
        print(f"{name:<32}{figure.answers:>8,}  {figure.per_core_s:>15,.0f}  {wall:>12,.0f}")
    kept = figures["kept, GET"].per_core_s
    theirs = figures["openssl ocsp, new connections"].per_core_s
    print(f"kept, GET: goal {PER_CORE_S_MIN:,} per s of a core; to openssl ocsp {kept / theirs:.1f} : 1")
    same = figures["kept, GET, new connections"].per_core_s
    print(f"over new connections, as openssl ocsp has it: {same / theirs:.1f} : 1")
    if options.json is not None:
        report = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": here}
        report["figures"] = {name: asdict(figure) for name, figure in figures.items()}
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(figure.answers == figure.good > 0 for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
