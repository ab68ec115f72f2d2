"""`troth device run` for what would be years: renewed while running, a home that dies, an end slept through, new roots.

One real home and real agents. Nothing is hurried but the certificates: they last for seconds where renewal is watched.
"""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.commands import command
from tests.fixtures.lines import Lines
from tests.fixtures.mqtt import allow, policy
from tests.fixtures.platform import Platform, environment, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

LISTENERS = ("MQTT", "HTTPS", "PUBLIC", "OPERATORS")
TOPIC = "lamp/reading"


def ports() -> dict[str, str]:
    """Return a free port for each listener, the same across restarts."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in LISTENERS]
    found = {
        f"TROTH_LISTEN__{name}": f"127.0.0.1:{probe.getsockname()[1]}"
        for name, probe in zip(LISTENERS, probes, strict=True)
    }
    for probe in probes:
        probe.close()
    return found


def profile(validity: str, renew_before: str) -> bytes:
    return f"""
name = "device"
issuer = "devices"
subject = "thing"
algorithms = ["P-256"]
validity = "{validity}"
renew_before = "{renew_before}"
grace = "30d"
backdate = "1s"
key_usage = ["digital-signature"]
extended_key_usage = ["client-auth"]
""".encode()


class Agent:
    """A ``troth device run``, and the log that it writes."""

    def __init__(self, device: "Device", *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "troth", "device", "run", "--json", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=device.environment,
        )
        assert self.process.stdout is not None
        self.lines = Lines(self.process.stdout)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the events of this name so far."""
        return [row for row in map(json.loads, self.lines.seen()) if row["event"] == event]

    def until(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait until an event has come so often."""
        until(lambda: len(self.events(event)) >= times, event, 60.0)
        return self.events(event)[times - 1]

    def payloads(self) -> list[str]:
        """Return what has come, each at its first coming."""
        return list(dict.fromkeys(row["payload"] for row in self.events("message")))

    def end(self, how: signal.Signals) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(how)
        code = self.process.wait(60)
        self.lines.wait_for_end()
        return code


class Device:
    """A thing with an identity folder and, while it runs, an agent."""

    def __init__(self, platform: Platform, folder: Path, thing: str, stack: ExitStack) -> None:
        self.platform, self.thing, self._stack = platform, thing, stack
        self.path = folder / thing
        self.environment = environment(folder / "nowhere", {"TROTH_IDENTITY": str(self.path)})
        self.queued = 0
        document = policy(
            allow("iot:Connect", f"client/{thing}"),
            allow(["iot:Publish", "iot:Receive"], "topic/lamp/*"),
            allow("iot:Subscribe", "topicfilter/lamp/*"),
        )
        platform.run("thing", "create", thing)
        platform.run("policy", "create", thing, "-", stdin=document.encode())
        platform.run("policy", "attach", thing, "--thing", thing)
        token = platform.run("token", "create", "--thing", thing)["token"]
        doors = [f"localhost:{platform.address(each)[1]}" for each in ("https", "mqtt")]
        root = str(platform.home / "root.pem")
        self.run("enroll", "--endpoint", doors[0], "--mqtt", doors[1], "--thing", thing, "--trust", root,
                 "--token-file", "-", stdin=token.encode())  # fmt: skip

    def run(self, *words: str, stdin: bytes = b"") -> Any:
        """Run a command of it and return what it answers."""
        done = command(["device", *words, "--json"], self.environment, stdin)
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def queue(self, count: int) -> None:
        """Put so many more numbers on its disk."""
        lines = "".join(f"{number}\n" for number in range(self.queued, self.queued + count))
        rows = self.run("publish", "--queue", "--lines", "--topic", TOPIC, stdin=lines.encode())
        self.queued += count
        assert [row["sequence"] for row in rows] == list(range(self.queued - count + 1, self.queued + 1))

    def agent(self, *words: str) -> Agent:
        """Start its agent."""
        made = Agent(self, *words)
        self._stack.callback(made.lines.wait_for_end)
        self._stack.callback(made.process.wait)
        self._stack.callback(made.process.kill)
        return made

    @property
    def expected(self) -> list[str]:
        """All that has been queued."""
        return [str(number) for number in range(self.queued)]


@pytest.fixture
def platform(home: Path) -> Iterator[Platform]:
    made = Platform(home, {**ports(), "TROTH_PROCESSES__GATEWAY": "1", "TROTH_PROCESSES__WEB": "0"})
    made.run("profile", "apply", "-", stdin=profile("12s", "11s"))
    made.start()
    yield made
    if made.process is not None:
        made.stop()


def test_an_agent_through_all_that_can_happen_to_it(platform: Platform, tmp_path: Path) -> None:
    with ExitStack() as stack:
        sleeper = Device(platform, tmp_path, "sleeper", stack)
        lamp = Device(platform, tmp_path, "lamp", stack)
        agent = lamp.agent()
        renewed_while_running(platform, lamp, agent)
        # From here on certificates last.
        platform.run("profile", "apply", "-", stdin=profile("90d", "30d"))
        agent.until("renewed", len(agent.events("renewed")) + 1)
        listener = Device(platform, tmp_path, "listener", stack).agent("--filter", TOPIC)
        listener.until("connected")
        agent = dies_with_its_home(platform, lamp, agent, listener)
        sleeps_through_its_end(sleeper)
        goes_over_to_new_roots(platform, lamp, agent, listener)
        assert agent.end(signal.SIGTERM) == 0
        assert listener.end(signal.SIGTERM) == 0


def renewed_while_running(platform: Platform, lamp: Device, agent: Agent) -> None:
    """Within its certificate's seconds; after it, the one before is out of force and its key is gone."""
    agent.until("renewed")
    agent.until("previous-removed")
    states = [row["state"] for row in platform.run("cert", "list", "--thing", "lamp")]
    assert states.count("ACTIVE") <= 2 <= len(states)
    # Unless the first connection was made with the new one already.
    assert agent.events("switching") or len(agent.events("connected")) == 1
    assert len(list(lamp.path.glob("?/key.pem"))) <= 2


def dies_with_its_home(platform: Platform, lamp: Device, agent: Agent, listener: Agent) -> Agent:
    """The home is killed, then the agent; what was queued before, between and after arrives whole and in order."""
    lamp.queue(20)
    until(lambda: len(listener.payloads()) == 20, "the first readings")
    platform.kill()
    agent.until("not-connected")
    lamp.queue(20)
    agent.process.kill()
    lamp.queue(20)
    agent = lamp.agent()
    agent.until("not-connected", 2)
    (shown,) = lamp.run("show")
    assert shown["queue"]["waiting"] == 40
    platform.start()
    agent.until("connected")
    until(lambda: listener.payloads()[-1:] == lamp.expected[-1:], "the last reading", 60.0)
    assert listener.payloads() == lamp.expected
    until(lambda: lamp.run("show")[0]["queue"]["waiting"] == 0, "the queue's end")
    return agent


def sleeps_through_its_end(sleeper: Device) -> None:
    """A certificate that has expired renews itself, and is let in nowhere before."""
    until(lambda: sleeper.run("show")[0]["expired"], "the end of its certificate")
    done = command(["device", "publish", "--topic", TOPIC, "--message", "0"], sleeper.environment)
    assert "certificate_expired" in done.stderr
    agent = sleeper.agent()
    agent.until("renewed")
    agent.until("connected")
    assert not sleeper.run("show")[0]["expired"]
    assert agent.end(signal.SIGTERM) == 0


def goes_over_to_new_roots(platform: Platform, lamp: Device, agent: Agent, listener: Agent) -> None:
    """A CA rollover while it runs: it takes the new root, says so, and its next certificate is of the new CA."""
    before = lamp.run("show")[0]
    for name in ("root", "servers", "devices"):
        platform.run("ca", "rollover", name)
    for each in (agent, listener):
        each.process.send_signal(signal.SIGHUP)
        told = each.until("trust-changed")
        assert (told["trust"], told["added"], told["refused"]) == (2, 1, 0)

    def both_hold_it() -> bool:
        if platform.run("ca", "uptake")["counts"]["held"] == 2:
            return True
        # Who came while the door still heard of the rollover, was told of the half of it.
        for each in (agent, listener):
            each.process.send_signal(signal.SIGHUP)
        return False

    until(both_hold_it, "the home to know that both hold it", 60.0)
    lamp.queue(5)
    until(lambda: listener.payloads() == lamp.expected, "readings while old and new roots are trusted")
    lamp.run("renew")
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.events("connected")[-1]["certificate_id"] != before["certificate_id"], "the new certificate")
    after = lamp.run("show")[0]
    assert "devices CA 2" in after["issuer"] != before["issuer"]
    lamp.queue(5)
    until(lambda: listener.payloads() == lamp.expected, "readings by the new certificate")
