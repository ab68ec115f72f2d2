"""Power cuts: before any change to a device's disk, at any named point of the home. Whoever is hit goes no further.

What code does while it is being thrown out of where it was is undone on a device's disk: no cut device tidies up.
"""

import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from troth.points import EVENT, Point

_CHANGES: Final = frozenset(("os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir"))
_WRITES: Final = os.O_WRONLY | os.O_RDWR


class PowerCut(BaseException):
    """No `Exception`: nobody handles it."""


class Watch:
    """The one audit hook of a process, which cannot be taken out again; idle where nobody has set `seen`."""

    def __init__(self) -> None:
        self.seen: Callable[[str, tuple[object, ...]], None] | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Tell whoever watches of an event that matters."""
        if self.seen is None:
            return
        if event == EVENT or event in _CHANGES or (event == "open" and _is_write(arguments)):
            self.seen(event, arguments)


@cache
def watch() -> Watch:
    """Return the hook of this process, put in now if it is not there."""
    hook = Watch()
    sys.addaudithook(hook)
    return hook


class Cuts:
    """The cuts that are to come: each after so many changes, or points, from now."""

    def __init__(self, devices: Path) -> None:
        """Each device's identity is a folder of its own right below `devices`."""
        self._root = f"{devices}/"
        self._devices: dict[str, int] = {}
        self._remains: dict[str, dict[Path, bytes | str | None]] = {}
        self._home: int | None = None
        self.on_home_cut: Callable[[], None] = lambda: None
        self.points: dict[str, int] = {}
        """How often the home died at each point."""
        self.changes = 0
        """How often a device was cut before a change."""

    def arm_device(self, name: str, changes: int) -> None:
        """Cut a device's power before its change of this number from now, whenever that comes."""
        self._devices.setdefault(name, changes)

    def arm_home(self, points: int) -> None:
        """Let the home die at the point of this number from now."""
        self._home = points

    def disarm_home(self) -> None:
        """Let it live."""
        self._home = None

    def seen(self, event: str, arguments: tuple[object, ...]) -> None:
        """Count, and cut. Raises `PowerCut`."""
        if event == EVENT:
            if self._home is not None and isinstance(arguments[0], Point):
                self._count_home(arguments[0])
            return
        for argument in arguments[:2]:
            if isinstance(argument, str | Path) and str(argument).startswith(self._root):
                self._count_device(str(argument)[len(self._root) :].partition("/")[0])
                return

    def restore(self, name: str) -> bool:
        """Put a device's disk back to the instant of its cut; False when it was not cut."""
        remains = self._remains.pop(name, None)
        if remains is None:
            return False
        shutil.rmtree(Path(self._root) / name, ignore_errors=True)
        for path, content in sorted(remains.items()):
            if content is None:
                path.mkdir(mode=0o700)
            elif isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
                path.chmod(0o600)
        return True

    def _count_home(self, point: Point) -> None:
        assert self._home is not None, "it is armed"
        self._home -= 1
        if self._home <= 0:
            self._home = None
            self.points[point] = self.points.get(point, 0) + 1
            self.on_home_cut()
            raise PowerCut(point)

    def _count_device(self, name: str) -> None:
        left = self._devices.get(name)
        if left is None:
            return
        if left > 1:
            self._devices[name] = left - 1
            return
        del self._devices[name]
        self.changes += 1
        self._remains[name] = {path: _content(path) for path in _below(Path(self._root) / name)}
        raise PowerCut(name)


def _below(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # A named pipe is made anew by whoever needs it.
    return [folder, *(path for path in folder.rglob("*") if not path.is_fifo())]


def _content(path: Path) -> bytes | str | None:
    if path.is_symlink():
        return str(path.readlink())
    return None if path.is_dir() else path.read_bytes()


def _is_write(arguments: tuple[object, ...]) -> bool:
    return isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
