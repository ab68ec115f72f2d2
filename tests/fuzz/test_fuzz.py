"""Each target for a bounded number of inputs, in a process of its own under its limits; and the limits themselves."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.fuzz.run import TooSlow, inputs, limit_time
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
INPUTS = 2000
GREEDY = """
from dataclasses import replace
from tests.fuzz.run import run
from tests.fuzz.targets import MIB, TARGETS
kept = []
target = replace(TARGETS["policy-topics"], check=lambda data: kept.append(bytearray(MIB)), memory_bytes=16 * MIB)
run(target, 1000, 1)
"""


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    done = python("-m", "tests.fuzz.run", name, "--inputs", str(INPUTS))
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("atheris") is None, reason="not run: needs atheris (pip install atheris)")
def test_the_codec_led_by_atheris() -> None:
    """For some seconds; memory and the time of one input are limited as for the other runs."""
    done = python("-m", "tests.fuzz.led", "mqtt-streams", "-runs=1500", "-max_total_time=3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"Done \d+ runs", done.stderr), done.stderr[-3000:]


@pytest.mark.soak
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(2, 6))
def test_target_at_length(name: str, seed: int) -> None:
    done = python("-m", "tests.fuzz.run", name, "--inputs", "10000", "--seed", str(seed))
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", TARGETS)
def test_the_same_seed_gives_the_same_inputs(name: str) -> None:
    first, again, other = (list(inputs(TARGETS[name], 50, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert max(map(len, first)) <= TARGETS[name].bytes_max


def test_an_input_that_takes_too_long_is_interrupted() -> None:
    with pytest.raises(TooSlow), limit_time(0.01):
        while True:
            pass


def test_a_target_that_takes_too_much_memory_fails() -> None:
    done = python("-c", GREEDY)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr
