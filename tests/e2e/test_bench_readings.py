"""The benchmark of signed readings runs, and what it measures holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_a_quick_run_prints_figures(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.readings", "--quick", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["figures"]
    assert figures["readings of the bundle"] == 1000
    assert figures["bytes of a reading beside payload, topic and thing"] < 140
    assert all(figure >= 0 for figure in figures.values())
    for what in figures:
        assert what in done.stdout
