"""docs/device.md as it stands, the unit that comes with it, and what a device takes."""

import configparser
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.pages import DOCS, run_page

ROOT = Path(__file__).parents[2]
UNIT = DOCS / "device" / "troth-device.service"
ELSEWHERE = {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("OPERATORS", "TIME")}

pytestmark = [pytest.mark.e2e]


@pytest.mark.slow
@pytest.mark.needs("curl")
def test_the_guide(tmp_path: Path) -> None:
    said = run_page("device.md", tmp_path, ELSEWHERE)
    assert "reading 3 is on the disk" in said
    assert "weather/commands blink" in said
    assert "as number 55" in said
    assert "not due until" in said
    log = (tmp_path / "agent.log").read_text()
    for event in ("connected", "message", "disconnected", "not-connected", "previous-removed"):
        assert f" {event} " in log or f" {event}\n" in log, event


def test_the_unit_gives_nothing_away() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "MemoryDenyWriteExecute"):
        assert service[name] == "yes"
    assert (service["ProtectSystem"], service["StateDirectoryMode"], service["UMask"]) == ("strict", "0700", "0077")
    assert service["CapabilityBoundingSet"] == ""
    assert service["User"] != "root"
    assert service["Environment"].endswith(f"/var/lib/{service['StateDirectory']}/identity")
    assert service["Restart"] == "always"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/troth/bin/troth", str(Path(sys.executable).with_name("troth"))))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_quick_run_of_the_benchmark_prints_every_figure(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "bench.device", "--quick", "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())["figures"]
    assert all(what in done.stdout for what in figures)
    # Megabytes more would be noticed: a device has little to spare.
    assert figures["packages of the base install, MiB"] < 40
    assert figures["memory of an agent that runs, MiB"] < 80
