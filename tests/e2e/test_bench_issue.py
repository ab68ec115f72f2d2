"""The benchmark of issuing runs, with an authority in its own process, and all that it asks for is issued."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_quick_run_issues_all_and_prints_figures(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.issue", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "of the bare rate" in done.stdout
    found = json.loads(report.read_text())
    assert (found["bulk"]["issued"], found["singly"]["issued"]) == (600, 20)
    assert found["bulk"]["cpu_us"] < found["singly"]["cpu_us"]
