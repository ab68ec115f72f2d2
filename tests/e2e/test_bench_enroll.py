"""The benchmark of enrollment runs against `troth up`, and everybody who asks is enrolled."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_quick_run_enrolls_all_and_prints_the_ratio(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.enroll", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to bare handshakes, per s" in done.stdout
    figures = json.loads(report.read_text())["figures"]
    assert len(figures) == 4
    assert all(figure["done"] == figure["asked"] == 24 for figure in figures.values())
