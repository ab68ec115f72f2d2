"""Devices whose clocks are in 1970, a year ahead and a year behind: they enroll and renew by their home's clock."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.test_device import Device
from tests.fixtures.platform import environment
from tests.fixtures.story import Story

pytestmark = [pytest.mark.e2e, pytest.mark.needs("faketime", "openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

CLOCKS = {"1970": "@1970-01-02 03:04:05", "a year ahead": "+365d", "a year behind": "-365d"}


def at(clock: str, device: Device, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command of the device in a process whose clock is wrong."""
    command = ["faketime", "-f", clock, sys.executable, "-m", "troth", *words, "--json"]
    own = environment(device.folder / "nowhere", device.environment)
    return subprocess.run(command, input=stdin, capture_output=True, env=own, timeout=60, check=False)


@pytest.mark.parametrize("clock", CLOCKS)
def test_it_enrolls_and_renews(embedded: Story, tmp_path: Path, clock: str) -> None:
    device = Device(embedded, tmp_path, embedded.estate.thing("lamp"))
    token = embedded.estate.token(device.thing).encode()
    ids = []
    for words, stdin in ((device.enroll, token), (("device", "renew"), b""), (("device", "renew"), b"")):
        done = at(CLOCKS[clock], device, *words, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        assert "this device's clock is wrong by" in done.stderr.decode()
        ids.append(json.loads(done.stdout)["certificate_id"])
    row = embedded.platform.run("cert", "show", ids[-1])
    assert (row["thing"], row["state"]) == (device.thing, "ACTIVE")
    # With the right time the same identity is at home at once, and nothing is said of clocks.
    right = device.run("device", "renew", "--json")
    assert (right.returncode, "clock" in right.stderr) == (0, False)
