"""The benchmark of the MQTT codec runs, and every case of it deals with the packets that it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.codec.cases import PACKETS, cases

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", cases())
def test_each_case_deals_with_every_packet(name: str) -> None:
    made = cases()[name]()
    assert isinstance(made, list)
    assert len(made) == PACKETS


def test_a_quick_run_prints_a_figure_for_each_case(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.codec", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["us"]
    assert set(figures) == set(cases())
    assert all(0 < figure < 1000 for figure in figures.values())
    assert all(name in done.stdout for name in figures)
