"""The benchmark of revocations runs, and whoever it revokes is gone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_quick_run_closes_whom_it_revokes_and_tells_how_soon(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.revocation", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "memory for each idle connection" in done.stdout
    figures = json.loads(report.read_text())["figures"]
    assert (figures["sessions"], figures["revoked"]) == (60, 20)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["most_ms"]
    # A ceiling for a busy machine; the goal is for the figures.
    assert figures["p99_ms"] < 10_000
