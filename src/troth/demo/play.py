"""The running order: every act in turn, in a temporary home that is gone afterwards, whatever happens."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from troth.clock import Clock, SystemClock
from troth.demo.acts import (
    at_the_door,
    copying,
    enrolling,
    fake_homes,
    fish_tank,
    forging,
    founding,
    neighbours,
    phoning,
    renewing,
    revoking,
    signing,
)
from troth.demo.commands import Commands
from troth.demo.ledger import Ledger
from troth.demo.narrator import Narrator
from troth.demo.platform import NotReady, environment, running
from troth.demo.stage import Stage
from troth.errors import Fault

_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)


def play(quiet: bool) -> dict[str, Any]:
    """Play the whole story and return ``{"ok": bool, "cases": [...]}``; tell it on stdout unless `quiet`.

    What keeps the story from going on is told on stderr, and the cases that were not reached are not ok.
    """
    clock = SystemClock()
    narrator = Narrator(quiet=quiet)
    ledger = Ledger(narrator)
    began = clock.now()
    with interruptible(), tempfile.TemporaryDirectory(prefix="troth-demo-") as folder:
        try:
            _perform(Path(folder), narrator, ledger, clock)
        except NotReady as fault:
            narrator.trouble(str(fault), fault.tail)
            ledger.abandon(str(fault))
        except Fault as fault:
            narrator.trouble(str(fault), [fault.detail] if fault.detail else [])
            ledger.abandon(str(fault))
    outcomes = ledger.outcomes
    narrator.table((each.case.case_id, each.expected, each.seen.observed, each.ok) for each in outcomes)
    good = sum(each.ok for each in outcomes)
    narrator.say(f"{good} of {len(outcomes)} cases as they must be, in {(clock.now() - began).total_seconds():.0f} s")
    return {"ok": good == len(outcomes), "cases": [each.report() for each in outcomes]}


def _perform(folder: Path, narrator: Narrator, ledger: Ledger, clock: Clock) -> None:
    commands = Commands(folder, environment(os.environ), narrator)
    with founding.founded(folder, commands, narrator, clock) as home:
        wardrobe = forging.forge(folder / "wardrobe", home, commands.environment, narrator, clock)
        narrator.act("The home opens its doors")
        narrator.command("troth up")
        with running(home.path, commands.environment, folder / "troth.log") as platform:
            stage = Stage(folder, clock, narrator, ledger, commands, home, platform, wardrobe)
            enrolling.play(stage)
            neighbours.prepare(stage)
            with phoning.listening(stage) as service:
                fake_homes.play(stage)
                at_the_door.play(stage, service)
                fish_tank.play(stage, service)
                signing.play(stage, service)
                revoking.play(stage, service)
                renewing.play(stage, service)
                copying.play(stage, service)
        neighbours.play(stage)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let who ends this process end the platform too: by SIGTERM or SIGHUP as by Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
