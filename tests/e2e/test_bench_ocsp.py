"""The benchmark of OCSP runs, and every answer that it counts says what it should."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl")]


def test_a_quick_run_prints_figures_and_the_ratio(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.ocsp", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "to openssl ocsp" in done.stdout
    figures = json.loads(report.read_text())["figures"]
    assert "kept, GET" in figures
    assert all(figure["answers"] == figure["good"] > 0 for figure in figures.values())
