"""Journeys played with real processes, one of which may be killed; then asked for again until they are done."""

import multiprocessing
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.crash import journeys
from tests.crash.journeys import Place

PATIENCE_S = 60.0

# A new process is forked from one that has loaded all modules, has a single thread and no connection to anything.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.journeys", "tests.crash.renewing"])


@dataclass(frozen=True)
class Journey:
    """Who acts, and who serves meanwhile."""

    name: str
    actor: str
    server: str | None = None


JOURNEYS = {
    each.name: each
    for each in (
        Journey("enroll", "device", "authority"),
        Journey("crowd", "crowd", "authority"),
        Journey("claim", "claimant", "authority"),
        Journey("ask", "guest", "authority"),
        Journey("meet", "newcomer"),
        Journey("bulk", "bulk", "authority"),
        Journey("birth", "founder"),
        Journey("revoke", "revoker"),
        Journey("crl", "publisher"),
    )
}


def play(place: Place, journey: Journey, victim: str | None = None, die_at: str | None = None) -> None:
    """Play a journey to its end; the role `victim` is killed at the point `die_at`, and then begins again."""
    if journey.server is None:
        _act(place, journey.actor, die_at)
        return
    with serving(place, journey.server, die_at if victim == journey.server else None) as server:
        actor = started(place, journey.actor, die_at if victim == journey.actor else None)
        if victim == journey.server:
            server.join(PATIENCE_S)
            assert server.exitcode == -signal.SIGKILL, f"{victim} never reached {die_at}"
            # Who waits for it goes on waiting, and gets its answer from the next.
            with serving(place, journey.server):
                ended(actor, 0)
            return
        ended(actor, -signal.SIGKILL if die_at else 0)
        if die_at:
            ended(started(place, journey.actor), 0)


def _act(place: Place, role: str, die_at: str | None) -> None:
    if die_at:
        ended(started(place, role, die_at), -signal.SIGKILL)
    ended(started(place, role), 0)


@contextmanager
def serving(place: Place, role: str, die_at: str | None = None) -> Iterator[BaseProcess]:
    """Run a role for the length of the block."""
    process = started(place, role, die_at)
    try:
        yield process
    finally:
        # As a power cut would end it: it has nothing to put away.
        process.kill()
        process.join(PATIENCE_S)


def started(place: Place, role: str, die_at: str | None = None) -> BaseProcess:
    """Begin a role in a process of its own."""
    process = _CONTEXT.Process(target=journeys.run, args=(role, place, die_at), name=role)
    process.start()
    return process


def ended(process: BaseProcess, code: int) -> None:
    """Wait for the end of a process, which must be with this exit code."""
    process.join(PATIENCE_S)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode == code, f"{process.name} ended with {process.exitcode}, not {code}"


def copied(template: Path, folder: Path, url: str) -> Place:
    """Return a place of its own, made of a closed template; what was there before is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    return Place(folder, url)
