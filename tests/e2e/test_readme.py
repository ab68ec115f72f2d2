"""The README's five minutes, run as they stand there, on the ports that they name."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
PORTS = (8883, 8443, 8080, 9443)
START_S = 60
# Between the blocks: what a person sees on the terminal before going on.
READY = 'until troth status --home home --json | grep -q \'"web", "state": "running"\'; do kill -0 $!; done\n'


def blocks() -> list[str]:
    found = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) >= 4
    return found


@pytest.fixture
def free_ports() -> None:
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


@pytest.mark.e2e
@pytest.mark.usefixtures("free_ports")
def test_the_five_minutes_are_true(tmp_path: Path) -> None:
    script = "set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n"
    for block in blocks():
        script += block + (READY if "troth up" in block else "")
    script += "echo the end\n"
    own = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, complained
    assert said.splitlines()[-1] == "the end"
    # What it may do went through, what it may not did not, and the reason can be read.
    assert "published 17 bytes to home/thermostat/reading" in said + complained
    assert "closed the connection when this device was to publish to 'home/fish-tank/reading'" in complained
    assert re.search(r"iot:Publish +topic/home/fish-tank/reading +implicit-deny", said)
    assert "(keyCompromise)" in said
