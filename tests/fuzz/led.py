"""Fuzzes a target with atheris, led by what inputs reach: ``python -m tests.fuzz.led TARGET [-OPTION=VALUE ...]``.

The options are libFuzzer's, such as ``-max_total_time=600``; without any it goes on until it is stopped or an input
fails, which is kept in the folder for temporary files. libFuzzer limits memory (``-rss_limit_mb``) and the time of one
input (``-timeout``). `tests.fuzz.run` needs no atheris, and gives the same inputs on every machine.
"""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

atheris: Any = importlib.import_module("atheris")

with atheris.instrument_imports(include=["troth.protocols", "troth.policy", "troth.evidence", "troth.names"]):
    from tests.fuzz.targets import MIB, TARGETS, Target

OWN_MIB: Final = 160
"""What the interpreter, its libraries and libFuzzer's tables take before the first input; measured: 72."""


def fuzz(name: str, target: Target, folder: Path, asked: list[str]) -> None:
    """Put inputs to a target until told to stop. Does not return: libFuzzer ends the process."""
    seeds, words = folder / "seeds", folder / "words"
    seeds.mkdir()
    for number, seed in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(seed)
    words.write_text("".join(_quoted(word) for word in target.words if word))
    options = [
        f"-rss_limit_mb={OWN_MIB + target.memory_bytes // MIB}",
        f"-timeout={max(1, int(target.input_s))}",
        f"-max_len={target.bytes_max}",
        f"-artifact_prefix={tempfile.gettempdir()}/troth-{name}-",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], *options, *asked, str(seeds)], target.check)
    atheris.Fuzz()


def _quoted(word: bytes) -> str:
    """Return a word as libFuzzer's dictionaries have it."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.led", description="Fuzz one target with atheris.")
    parser.add_argument("target", choices=TARGETS)
    chosen, asked = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="troth-fuzz-") as folder:
        child = os.fork()
        if not child:
            fuzz(chosen.target, TARGETS[chosen.target], Path(folder), asked)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) and 1


if __name__ == "__main__":
    sys.exit(main())
