"""A log that cannot be written stops nobody, and its loss is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A file that may not grow is as good as a full disk, and takes no rights.
PROGRAM = """
import resource
import structlog
from troth.app import logs

logs.configure("gateway-0", "json")
log = structlog.get_logger()
log.info("before")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
for number in range(200):
    log.info("during", filling="x" * 100)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.info("after")
log.info("again")
"""


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stderr=file, timeout=20, check=False)
    assert done.returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    events = [line["event"] for line in lines]
    assert events[0] == "before"
    assert events[-1] == "again"
    (lost,) = [line for line in lines if line["event"] == "log.lost"]
    assert lost["process"] == "gateway-0"
    assert lost["lines"] >= 200 - events.count("during")


WRITER = """
import structlog
from troth.app import logs

logs.configure("gateway-0", "json")
log = structlog.get_logger()
for number in range(5000):
    log.info("line", filling="x" * 200)
"""


@pytest.mark.slow
def test_processes_that_share_a_log_leave_each_others_lines_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("ab") as file:
        both = [subprocess.Popen([sys.executable, "-c", WRITER], stderr=file) for _ in range(2)]
        assert [each.wait(30) for each in both] == [0, 0]
    lines = log.read_text().splitlines()
    assert len(lines) == 10_000
    assert {json.loads(line)["event"] for line in lines} == {"line"}
