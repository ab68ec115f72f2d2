"""What the load is sent to: a server that runs."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.site import Site


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that demands certificates on a port of the loopback."""

    name: str
    version: str
    port: int
    processes: Mapping[str, tuple[int, ...]]
    """The ids of all its processes, by the part that they play."""
    public_port: int | None = None
    """Where it answers HTTP in the clear, if it does."""


Start = Callable[[Site, Path], AbstractContextManager[Peer]]
"""Runs a server in a folder of its own for the length of a block."""
