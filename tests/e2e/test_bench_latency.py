"""The benchmark of delays runs, and every message arrives while OCSP is answered."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_quick_run_tells_how_long_messages_take_beside_ocsp(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.latency", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    for each in (found["alone"], found["beside"]):
        assert each["messages"] == 200
        assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["most_ms"]
    assert found["ocsp"]["good"] == found["ocsp"]["answers"] > 0
