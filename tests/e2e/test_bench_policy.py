"""The benchmark of decisions runs, compares who is there, and says who is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.policy.engines import ENGINES, OURS
from bench.policy.figures import disagreements

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


def test_every_engine_that_is_there_answers_as_ours() -> None:
    assert not list(disagreements())


def test_a_quick_run_prints_figures_ratios_and_goals(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.policy", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(report.read_text())
    here = {name for name, engine in ENGINES.items() if engine.version is not None}
    assert set(read["versions"]) == set(ENGINES)
    for table in ("first-seen topics, us", "topics asked again and again, us"):
        assert set(read["samples"][table]) == here
    for other in here - {OURS}:
        assert read["ratios"][f"{other}, 20 rules"] > 0
        assert f"{OURS} / {other}" in done.stdout
    for missing in set(ENGINES) - here:
        assert f"{missing:<14}{ENGINES[missing].what} (not installed: pip install troth[bench])" in done.stdout
    assert {"got", "bound", "met"} <= set(read["goals"]["a seen topic, us"])
