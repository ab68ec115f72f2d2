"""`python -m bench.device [--quick] [--json FILE]`: what a device's side takes of disk, start and memory."""

import argparse
import json
import logging
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from bench import machine
from troth.app import logs
from troth.device.endpoint import Address, Endpoint
from troth.device.identity import Settings, write_settings, write_trust
from troth.device.slots import holding
from troth.keys.file import write_key
from troth.keys.files import write_private
from troth.testing.authority import TestAuthority
from troth.x509.certificates import render_chain

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("cli", "device", "evidence", "keys", "protocols", "tls", "x509")
"""What a device uses of the package; all of it is installed."""
LIBRARY: Final = "troth.device.library"
MIB: Final = 1024 * 1024
_NAME: Final = re.compile(r"^([a-z0-9_.-]+)==", re.IGNORECASE | re.MULTILINE)
_MEASURE: Final = """
import sys, time
began = time.process_time()
for name in sys.argv[1:]:
    __import__(name)
took = time.process_time() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(took, int(status["VmRSS"].split()[0]) / 1024)
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.device", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a second, to see that it works; no figures to quote")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to FILE")
    options = parser.parse_args()
    rounds = 2 if options.quick else 9
    here = machine.describe()
    print(f"{here['cores']} cores, {here['cpu']}, Python {here['python']}; medians of {rounds}")
    figures = {**sizes(), **starts(rounds), **agents(rounds)}
    for what, value in figures.items():
        print(f"  {what:<48}{value:>10.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "figures": figures}, indent=1) + "\n")
    return 0


def sizes() -> dict[str, float]:
    """Return MiB on the disk, compiled files not counted: packages of the base install, and Troth itself."""
    parts = {name: _installed(name) for name in _locked()}
    own = {room: sum(file.stat().st_size for file in (ROOT / "src/troth" / room).rglob("*.py")) / MIB for room in ROOMS}
    whole = sum(file.stat().st_size for file in (ROOT / "src/troth").rglob("*") if "__pycache__" not in file.parts)
    largest = max(parts, key=lambda name: parts[name])
    return {
        "packages of the base install, MiB": sum(parts.values()),
        f"of these {largest}, MiB": parts[largest],
        "troth, MiB": whole / MIB,
        "what a device uses of it, MiB": sum(own.values()),
    }


def starts(rounds: int) -> dict[str, float]:
    """Return seconds and MiB of fresh processes."""
    nothing, crypto, library, command = (
        [_fresh(*names) for _ in range(rounds)]
        for names in ((), ("cryptography.x509",), (LIBRARY,), ("troth.cli.main", "troth.cli.device"))
    )
    return {
        "import of cryptography.x509 alone, CPU s": _median(crypto, 0),
        "import of the library, CPU s": _median(library, 0),
        "import of the command line, CPU s": _median(command, 0),
        "memory of an empty Python, MiB": _median(nothing, 1),
        "memory with the library, MiB": _median(library, 1),
        "memory with the command line, MiB": _median(command, 1),
    }


def agents(rounds: int) -> dict[str, float]:
    """Return what agents take that have come to the point of telling that their home is not there."""
    with tempfile.TemporaryDirectory(prefix="troth-bench-") as name:
        folder = Path(name)
        _make_identity(folder)
        samples = [_agent(folder / "identity") for _ in range(rounds)]
    return {
        "an agent's start, CPU s": _median(samples, 0),
        "memory of an agent that runs, MiB": _median(samples, 1),
    }


def _make_identity(folder: Path) -> None:
    """Give a device an identity whose home is at a port where nobody is."""
    logs.configure("bench", "console", level=logging.WARNING)
    with TestAuthority(folder) as home:
        home.thing("lamp")
        held, root = home.device("lamp"), home.root
    with holding(folder / "identity") as slots:
        slot = slots.spare()
        slot.make()
        write_key(slot.key_file, held.key, None)
        write_private(slot.chain_file, render_chain(held.chain))
        nowhere = Address("127.0.0.1", 9)
        write_trust(slots.path, [root])
        write_settings(slots.path, Settings("lamp", Endpoint(nowhere, nowhere)))
        slots.switch(slot)


def _agent(identity: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "troth", "device", "run", "--identity", str(identity)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        place = Path(f"/proc/{process.pid}")
        ticks = (place / "stat").read_text().rpartition(")")[2].split()[11:13]
        memory = re.search(r"VmRSS:\s+(\d+)", (place / "status").read_text())
        process.terminate()
    assert memory is not None
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(memory[1]) / 1024


def _locked() -> Iterator[str]:
    """Yield the names of what a device installs here."""
    for name in _NAME.findall((ROOT / "requirements/device.txt").read_text()):
        try:
            distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        yield name


def _installed(name: str) -> float:
    files = distribution(name).files or []
    places = [Path(str(file.locate())) for file in files if "__pycache__" not in file.parts]
    return sum(place.stat().st_size for place in places if place.is_file()) / MIB


def _fresh(*names: str) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", _MEASURE, *names], capture_output=True, text=True, check=True)
    took, memory = done.stdout.split()
    return float(took), float(memory)


def _median(samples: list[tuple[float, float]], which: int) -> float:
    return statistics.median(sample[which] for sample in samples)


if __name__ == "__main__":
    sys.exit(main())
