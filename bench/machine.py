"""The machine that figures were made on: what it is, how fast it is just now, how much of it somebody else uses."""

import os
import platform
import re
import time
from pathlib import Path
from typing import Final

from troth.keys.file import generate
from troth.x509.algorithms import KeyAlgorithm

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT = 3, 4
_SIGNATURES: Final = 300
_GUEST = 8
"""From here on /proc/stat counts again what it has counted before."""


def describe() -> dict[str, object]:
    """Return what stands beside every figure."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def signature_us() -> float:
    """Return how many microseconds of CPU time a P-256 signature takes just now.

    Where two virtual cores share a real one, everything takes up to twice as long while somebody uses the other: this
    tells it.
    """
    key = generate(KeyAlgorithm.P256)
    began_s = time.thread_time()
    for _ in range(_SIGNATURES):
        key.sign(b"how fast are we")
    return (time.thread_time() - began_s) / _SIGNATURES * 1e6


def busy_s() -> float:
    """Return the seconds that all cores together were busy, or stolen by the host, since the machine started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().partition("\n")[0].split()[1 : 1 + _GUEST]]
    return (sum(fields) - fields[_IDLE] - fields[_IOWAIT]) / _TICKS_PER_S


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
