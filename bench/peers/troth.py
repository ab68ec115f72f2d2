"""Troth as `troth up` runs it: the gateway in front of the embedded NATS, with one gateway worker."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bench.peers.peer import Peer
from bench.processes import NotStarted, running, tail
from bench.site import Site

# One worker, so that publisher and subscriber meet in the same one in every run.
SETTINGS: Final = {
    **{f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "HTTPS", "PUBLIC", "OPERATORS", "TIME")},
    "TROTH_PROCESSES__GATEWAY": "1",
}
_PARTS: Final = {"gateway-0": "gateway", "broker": "broker"}


@contextmanager
def troth(site: Site, folder: Path) -> Iterator[Peer]:
    """Run the home's own platform. Raises `NotStarted`."""
    folder.mkdir()
    log = folder / "troth.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")} | SETTINGS
    command = [sys.executable, "-m", "troth", "up", "--home", str(site.home), "--json", "--log", "json"]
    with running(command, log, environment) as process:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        if "listen" not in said:
            raise NotStarted(f"troth up does not start: {tail(log)}")
        port = int(said["listen"]["mqtt"].rpartition(":")[2])
        yield Peer("troth", version("troth"), port, _processes(said))


def _processes(said: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the ids by part; whoever is neither gateway nor broker is counted too."""
    parts: dict[str, list[int]] = {"gateway": [], "broker": [], "others": [said["pid"]]}
    for each in said["processes"]:
        parts[_PARTS.get(each["name"], "others")].append(each["pid"])
    return {part: tuple(pids) for part, pids in parts.items()}
