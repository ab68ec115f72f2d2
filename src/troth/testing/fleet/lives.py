"""One life of a fleet, in memory where the machine has a file system there: no disk is worn out by ten years."""

import tempfile
from pathlib import Path
from typing import Final

from troth.testing.fleet.quiet import quiet
from troth.testing.fleet.world import Outcome, Plan, Progress, World

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there


def lived(plan: Plan, progress: Progress = lambda part, world: None) -> Outcome:
    """Return what came of it. Raises `Broken`."""
    with quiet(), tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        return World(plan, Path(folder), progress).live()
