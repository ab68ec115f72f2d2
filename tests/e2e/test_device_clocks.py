"""Devices whose clocks are in 1970, a year ahead and a year behind: they enroll and renew by their home's clock."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from tests.e2e.test_device import UNAVAILABLE, Device
from tests.fixtures.platform import environment
from tests.fixtures.story import Story

from troth.clock import SystemClock
from troth.device.queue import Queue
from troth.evidence.reading import parse_reading

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


NO_CLOCK = {"1970": "@1970-01-02 03:04:05", "2099": "@2099-12-31 23:00:00", "stands still": "2001-02-03 04:05:06"}


@pytest.mark.parametrize("clock", NO_CLOCK)
def test_with_a_trusted_time_no_clock_is_needed_at_all(embedded: Story, tmp_path: Path, clock: str) -> None:
    """Decades off or standing still: who is told the time by its home enrolls, sends and renews by that alone."""
    device = Device(embedded, tmp_path, embedded.estate.thing("lamp"))
    token = embedded.estate.token(device.thing).encode()
    servers = ("--time-servers", str(embedded.platform.home / "time.json"))
    reading = ("device", "publish", "--topic", f"home/{device.thing}/reading", "--message", "21.5")
    signed = (*reading, "--signed", "--queue")
    steps = ((*device.enroll, *servers), ("device", "renew"), reading, signed, ("device", "renew"))
    for words in steps:
        done = at(NO_CLOCK[clock], device, *words, stdin=token)
        assert done.returncode == 0, done.stderr.decode()
        assert b"clock is wrong" not in done.stderr
    shown = device.answer("device", "show")
    assert shown["time_servers"] == [f"localhost:{embedded.platform.address('time')[1]}"]
    # What it signed tells the true time, too.
    with Queue(Path(device.environment["TROTH_IDENTITY"])) as queue:
        (queued,) = queue.waiting(2)
    assert abs(SystemClock().now() - parse_reading(queued.payload).reading.at) < timedelta(minutes=2)


def test_without_a_trusted_time_nothing_is_sent(embedded: Story, tmp_path: Path) -> None:
    """Its time server is not there, or is not the one it was given: no connection, however right its own clock is."""
    device = Device(embedded, tmp_path, embedded.estate.thing("lamp"))
    token = embedded.estate.token(device.thing).encode()
    listed = json.loads((embedded.platform.home / "time.json").read_text())
    silent, other = json.loads(json.dumps(listed)), json.loads(json.dumps(listed))
    silent["servers"][0]["addresses"][0]["address"] = "localhost:1"
    other["servers"][0]["publicKey"] = "A" * 43 + "="
    for number, wrong in enumerate((silent, other)):
        file = tmp_path / f"time-{number}.json"
        file.write_text(json.dumps(wrong))
        done = device.run(*device.enroll, "--time-servers", str(file), stdin=token)
        assert done.returncode == UNAVAILABLE, done
        assert "does not answer" in done.stderr
    file.write_text(json.dumps(listed))
    assert device.run(*device.enroll, "--time-servers", str(file), stdin=token).returncode == 0
