"""The walk-through of docs/signers.md, run as it stands but for the ports: a home whose devices' CA is in a token."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.commands import command
from tests.fixtures.softhsm import PIN, SoftHSM, softhsm

from troth.cli.output import EXIT_CODES
from troth.errors import Kind

__all__ = ["softhsm"]

PAGE = Path(__file__).parents[2] / "docs" / "signers.md"
LISTENERS = ("MQTT", "HTTPS", "PUBLIC", "OPERATORS", "TIME")
# Between the blocks: what a person sees on the terminal before going on.
READY = 'until troth status --home home --json | grep -q \'"web", "state": "running"\'; do kill -0 $!; done\n'


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.needs("softhsm2-util", "pkcs11-tool", "openssl")
def test_a_home_whose_key_is_in_a_token(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    script = "set -eu\ntrap 'kill $(jobs -p); wait' EXIT\n"
    for block in blocks:
        script += block + (READY if "troth up" in block else "")
    script += "echo the end\n"
    own = {name: value for name, value in os.environ.items() if not name.startswith(("TROTH_", "SOFTHSM2_"))}
    own |= {f"TROTH_LISTEN__{name}": "127.0.0.1:0" for name in LISTENERS}
    own |= {"TROTH_PROCESSES__GATEWAY": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, complained
    assert said.splitlines()[-1] == "the end"
    assert "sensitive, always sensitive, never extractable, local" in said
    assert "lamp-1.pem: OK" in said
    # This one the running authority has signed, with the key in the token.
    assert "lamp-2.pem: OK" in said


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.needs("softhsm2-util")
def test_the_pin_is_asked_for_where_no_file_has_it(tmp_path: Path, softhsm: SoftHSM) -> None:
    home = tmp_path / "home"
    own = {**os.environ, "TROTH_HOME": str(home), "TROTH_KEYS__MODULE": str(softhsm.module)}
    names = ("--name", "home.example", "--public-url", "http://home.example:8080")
    assert command(("init", *names), own).returncode == 0
    rollover = ("ca", "rollover", "devices", "--key", softhsm.uri("devices-2"))
    unasked = command(rollover, own)
    assert unasked.returncode == EXIT_CODES[Kind.UNAVAILABLE]
    assert "pin does not exist" in unasked.stderr

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "troth", *rollover], env=own, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        asked = b""
        # The space behind comes once nothing is echoed any more; what is typed before is lost.
        while b"PIN of the token: " not in asked:
            asked += os.read(ours, 1000)
        os.write(ours, f"{PIN}\n".encode())
        said, _ = process.communicate(timeout=60)
        os.close(ours)
    assert process.returncode == 0
    assert b"devices-2" in said
