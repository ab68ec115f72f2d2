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

SETTINGS: Final = {
    **{f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in ("MQTT", "HTTPS", "PUBLIC", "OPERATORS", "TIME")},
}


@contextmanager
def troth(site: Site, folder: Path, workers: int = 1) -> Iterator[Peer]:
    """Run the home's own platform, by default with one worker, where publisher and subscriber always meet.

    Raises `NotStarted`.
    """
    folder.mkdir()
    log = folder / "troth.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")} | SETTINGS
    environment["TROTH_PROCESSES__GATEWAY"] = str(workers)
    command = [sys.executable, "-m", "troth", "up", "--home", str(site.home), "--json", "--log", "json"]
    with running(command, log, environment) as process:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        if "listen" not in said:
            raise NotStarted(f"troth up does not start: {tail(log)}")
        port, public_port = (int(said["listen"][door].rpartition(":")[2]) for door in ("mqtt", "public"))
        yield Peer("troth", version("troth"), port, _processes(said), public_port)


def _processes(said: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the ids by part; whoever is neither gateway nor broker is counted too."""
    parts: dict[str, list[int]] = {"gateway": [], "broker": [], "others": [said["pid"]]}
    for each in said["processes"]:
        part = each["name"].partition("-")[0]
        parts[part if part in parts else "others"].append(each["pid"])
    return {part: tuple(pids) for part, pids in parts.items()}
