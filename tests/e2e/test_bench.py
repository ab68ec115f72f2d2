"""The benchmarks run and compare; where a server lost something, they refuse to."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from bench.messages import Pace
from bench.peers.mosquitto import mosquitto
from bench.peers.troth import troth
from bench.plan import Plan, messages
from bench.run import REFUSED, run

ROOT = Path(__file__).parents[2]
LOADS = {"connects", "messages singly", "messages in batches"}

pytestmark = [pytest.mark.e2e, pytest.mark.needs("mosquitto")]


def test_a_quick_run_prints_a_ratio_for_every_load_and_server(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loads = json.loads(report.read_text())["loads"]
    assert set(loads) == LOADS
    for load in loads.values():
        assert set(load["figures"]) == {"troth", "mosquitto", "nats"}
        assert set(load["ratios"]) == {"mosquitto", "nats"}
        for other, ratio in load["ratios"].items():
            assert ratio > 0
            assert f"troth / {other:<12} {ratio:.2f}" in done.stdout
        for samples in load["samples"].values():
            assert all(sample["done"] == sample["asked"] > 0 for sample in samples)
    assert "refused" not in done.stdout


def test_no_ratio_is_printed_against_a_server_that_drops_messages(capsys: pytest.CaptureFixture[str]) -> None:
    # More than the sockets hold, written before the first is read: Mosquitto keeps one and drops the rest.
    flood = Plan(1, (messages("flood", 80_000, Pace(per_write=1000, writes=80)),))
    forgetful = partial(mosquitto, settings="max_queued_messages 1\n")
    code = run(flood, peers={"troth": troth, "mosquitto": forgetful})
    out, _ = capsys.readouterr()
    assert code == REFUSED
    assert "of 80,000 came through" in out
    assert "troth / mosquitto    refused: mosquitto: " in out
