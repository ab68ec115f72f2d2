"""The machine that figures were made on, and how much of it was somebody else's meanwhile."""

import os
import platform
import re
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_IDLE, _IOWAIT = 3, 4
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


def busy_s() -> float:
    """Return the seconds that all cores together were busy, or stolen by the host, since the machine started."""
    fields = [int(each) for each in Path("/proc/stat").read_text().partition("\n")[0].split()[1 : 1 + _GUEST]]
    return (sum(fields) - fields[_IDLE] - fields[_IOWAIT]) / _TICKS_PER_S


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
