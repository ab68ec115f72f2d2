"""The commands that people type, really run, each as a process of its own, and shown as they are run."""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from troth.demo.narrator import Narrator
from troth.errors import Fault, Kind

COMMAND_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Commands:
    """``troth`` at the prompt of whoever runs this home, in the folder `folder`."""

    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    narrator: Narrator

    def troth(self, *words: str) -> Mapping[str, Any]:
        """Run one command and return the object that it answers, if it is one. Raises `Fault` with what it says."""
        self.narrator.command(shlex.join(["troth", *words]))
        done = subprocess.run(
            [sys.executable, "-m", "troth", *words, "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd=self.folder,
            env=dict(self.environment),
            timeout=COMMAND_S,
        )
        said = _parse(done.stdout)
        if done.returncode == 0:
            return said
        error = said.get("error", {})
        message = error.get("message") or f"exit code {done.returncode}"
        kind = Kind(error["kind"]) if error.get("kind") in set(Kind) else Kind.UNAVAILABLE
        raise Fault(kind, f"troth {words[0]}: {message}", detail=done.stderr.decode(errors="replace")[-2000:])


def _parse(stdout: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(stdout)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}
