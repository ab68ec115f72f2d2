"""A site to issue at: a hierarchy with its keys in files, things, and their requests, all made beforehand."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from troth.app.cabinet import FileCabinet
from troth.app.profiles import built_in_profiles
from troth.authority.hierarchy import found
from troth.clock import Clock, SystemClock
from troth.journal.change import change
from troth.keys.file import generate
from troth.keys.requests import build_request
from troth.registry.things import create_thing
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.x509.algorithms import KeyAlgorithm

BELL: Final = "bell"
PUBLIC_URL: Final = "http://home.example:8080"
ACTOR: Final = "operator:bench"
_THINGS_PER_CHANGE: Final = 1000


@dataclass(frozen=True)
class Site:
    folder: Path
    url: str
    db: Database
    clock: Clock

    @property
    def bell(self) -> Path:
        return self.folder / BELL


def make_site(folder: Path, url: str) -> Site:
    """Return a new site in an empty database."""
    db, clock = connect(url, folder), SystemClock()
    if db.path is not None:
        db.path.touch()
    migrate.upgrade(db)
    found(
        db,
        clock,
        site="home.example",
        public_url=PUBLIC_URL,
        profiles=tuple(built_in_profiles().values()),
        cabinet=FileCabinet(folder, None),
    )
    return Site(folder, url, db, clock)


def make_things(site: Site, first: int, count: int) -> list[tuple[str, bytes]]:
    """Create so many things; return each with the DER of its request."""
    names = [f"lamp-{number:07}" for number in range(first, first + count)]
    for at in range(0, count, _THINGS_PER_CHANGE):
        with change(site.db, site.clock, ACTOR) as changing:
            for name in names[at : at + _THINGS_PER_CHANGE]:
                create_thing(changing, name)
    return [(name, build_request(generate(KeyAlgorithm.P256), name)) for name in names]


@contextmanager
def authority(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Run the site's authority in a process of its own for the length of the block."""
    command = [sys.executable, "-m", "bench.issue.authority", str(site.folder), site.url]
    with (site.folder / "authority.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError((site.folder / "authority.log").read_text()[-2000:])
        yield process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
