"""A home with things, and a token and a request for each, made beforehand; and the servers that are measured."""

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final

from bench.peers.troth import SETTINGS
from bench.processes import NotStarted, running, tail
from troth.app.home import open_home
from troth.app.init import Birth, initialise
from troth.app.wiring.database import open_database
from troth.clock import SystemClock
from troth.enrollment.tokens import create_token
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.registry.things import create_thing
from troth.x509.algorithms import KeyAlgorithm

NAME: Final = "bench.example"
ACTOR: Final = "operator:bench"
_THINGS_PER_CHANGE: Final = 500
_TOKEN_LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Server:
    """A server on a port of the loopback, and the ids of its processes by their part."""

    port: int
    processes: Mapping[str, tuple[int, ...]]


def make_home(folder: Path, count: int) -> tuple[Path, list[bytes]]:
    """Return a new home with so many things, and what each posts to enroll: an HTTP request, whole."""
    clock = SystemClock()
    initialise(folder / "home", Birth(NAME, f"http://{NAME}:8080", None), {}, clock)
    home, settings = open_home(folder / "home", {})
    db = open_database(home, settings)
    names = [f"lamp-{number:06}" for number in range(count)]
    posts: list[bytes] = []
    try:
        for at in range(0, count, _THINGS_PER_CHANGE):
            with change(db, clock, ACTOR) as changing:
                for name in names[at : at + _THINGS_PER_CHANGE]:
                    create_thing(changing, name)
                    posts.append(_post(name, create_token(changing, name, _TOKEN_LIFE).secret))
    finally:
        db.dispose()
    return home.path, posts


@contextmanager
def troth(home: Path, folder: Path) -> Iterator[Server]:
    """Run the home's own platform with one gateway; yield its HTTPS door. Raises `NotStarted`."""
    log = folder / "troth.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TROTH_")} | SETTINGS
    command = [sys.executable, "-m", "troth", "up", "--home", str(home), "--json", "--log", "json"]
    with running(command, log, environment) as process:
        said = _said(process.stdout, log)
        parts: dict[str, list[int]] = {"gateway": [], "authority": [], "others": [said["pid"]]}
        for each in said["processes"]:
            part = each["name"].partition("-")[0]
            parts[part if part in parts else "others"].append(each["pid"])
        port = int(said["listen"]["https"].rpartition(":")[2])
        yield Server(port, {part: tuple(pids) for part, pids in parts.items()})


@contextmanager
def bare(home: Path, folder: Path) -> Iterator[Server]:
    """Run a server that makes handshakes as the home's HTTPS door does, and says nothing. Raises `NotStarted`."""
    log = folder / "bare.log"
    with running([sys.executable, "-m", "bench.enroll.bare", str(home)], log) as process:
        said = _said(process.stdout, log)
        yield Server(said["port"], {"bare": (process.pid,)})


def _said(stdout: IO[bytes] | None, log: Path) -> dict[str, Any]:
    assert stdout is not None
    said: dict[str, Any] = json.loads(stdout.readline() or "{}")
    if not said:
        raise NotStarted(f"a server does not start: {tail(log)}")
    return said


def _post(name: str, token: str) -> bytes:
    # Each has a key of its own: one that is seen under another thing is refused.
    body = base64.b64encode(build_request(generate(KeyAlgorithm.P256), name))
    proof = base64.b64encode(f"{name}:{token}".encode()).decode()
    head = (
        f"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Basic {proof}\r\n"
        f"Content-Type: application/pkcs10\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
