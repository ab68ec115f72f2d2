"""docs/rollover.md as it stands: a running home and one lamp, from one root to the next, with nothing restarted."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.mqtt import allow, policy
from tests.fixtures.platform import START_S, until
from tests.fixtures.walkthrough import Block, blocks, run_block

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

LISTENERS = ("MQTT", "HTTPS", "PUBLIC", "OPERATORS", "TIME")


def ports() -> dict[str, int]:
    """Return a free port for each listener."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in LISTENERS]
    found = {name: probe.getsockname()[1] for name, probe in zip(LISTENERS, probes, strict=True)}
    for probe in probes:
        probe.close()
    return found


class Site:
    """The page's home, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = ports()
        self.environment = {f"TROTH_LISTEN__{name}": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.environment |= {"TROTH_HOME": "home", "TROTH_PROCESSES__GATEWAY": "2"}
        self.process: subprocess.Popen[str] | None = None

    def play(self, block: Block) -> str:
        """Run a block of the page, with this site's ports for the usual ones."""
        script = block.script.replace("localhost:8443", f"localhost:{self.ports['HTTPS']}")
        return run_block(replace(block, script=script), self.folder, self.environment)

    def ask(self, *words: str) -> Any:
        """Return what a command answers a script."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
        command = [sys.executable, "-m", "troth", *words, "--json"]
        done = subprocess.run(
            command, cwd=self.folder, env={**own, **self.environment}, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def up(self) -> None:
        """Start the home."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")}
        with (self.folder / "up.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "troth", "up", "--log", "json"], cwd=self.folder, stdout=log, stderr=log,
                env={**own, **self.environment}, text=True,
            )  # fmt: skip
        until(lambda: self.ask("status")["listen"], "the start", START_S)

    def pids(self) -> dict[str, int]:
        """Return the processes that run."""
        return {each["name"]: each["pid"] for each in self.ask("status")["processes"]}

    def down(self) -> None:
        """Stop the home."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The page's home."""
    made = Site(tmp_path)
    yield made
    made.down()


def test_the_page_is_true(site: Site) -> None:
    before, enrolled, *after = blocks("rollover.md")
    assert "nothing would break" in site.play(before)
    site.up()
    site.play(enrolled)
    pids = site.pids()
    may_publish = [allow("iot:Connect", "client/lamp"), allow("iot:Publish", "topic/lamp")]
    (site.folder / "policy.json").write_text(policy(*may_publish))
    site.ask("policy", "create", "lamp", "policy.json")
    site.ask("policy", "attach", "lamp", "--thing", "lamp")
    said = []
    for block in after:
        said.append(site.play(block))
        # At every stage the lamp gets through, and nothing has been restarted for it.
        settings = site.folder / "lamp" / "device.toml"
        settings.write_text(settings.read_text().replace(":8883", f":{site.ports['MQTT']}"))
        site.ask("device", "publish", "--identity", "lamp", "--topic", "lamp", "--message", "on")
    assert site.pids() == pids
    rolled, told, renewed, ended = said
    assert "refused: the lamp would be lost" in rolled
    assert "added    CN=localhost root CA 2" in told
    assert "held     1" in told
    assert "behind   devices-1" not in renewed
    assert "refused: the first operator" in ended
    assert "dropped  CN=localhost root CA 1" in ended
    states = {row["name"]: row["state"] for row in site.ask("ca", "list")["issuers"]}
    assert {name for name, state in states.items() if state == "ACTIVE"} == {
        "root-2", "devices-2", "servers-2", "operators-2"
    }  # fmt: skip
    assert {name for name, state in states.items() if state == "RETIRED"} == {
        "root-1", "devices-1", "servers-1", "operators-1"
    }  # fmt: skip
