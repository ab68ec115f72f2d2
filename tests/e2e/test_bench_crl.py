"""The benchmark of revoking and publishing runs, and says what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_a_quick_run_prints_figures_and_goals(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.crl", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(report.read_text())
    whole, shard = read["publishing"]
    assert whole["entries"] == 520
    assert 0 < shard["entries"] < 60
    assert read["ratio"] > 0
    assert "(goal 1000)" in done.stdout
