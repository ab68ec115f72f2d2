"""Neighbours whose keys are in a token, at both ends; in a process of their own, for OpenSSL's engine stays loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm

__all__ = ["softhsm"]

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.needs("softhsm2-util", "pkcs11-engine")]


def test_two_whose_keys_are_in_a_token_meet(softhsm: SoftHSM, tmp_path: Path) -> None:
    script = Path(__file__).with_name("token_neighbours.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, softhsm.module, softhsm.pin_file, LABEL],
        env={**os.environ, **softhsm.environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("door said hello\n", "")
    assert not list(tmp_path.glob("*/peer/a/key.pem"))
