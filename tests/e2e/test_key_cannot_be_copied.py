"""An agent's private key, looked for where the agent is while it signs: found when it is a file, not when a TPM has it.

The same search, the same agent, the same home; only where the key was made differs. What a token refuses to whoever
is logged in is asked for by name.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fixtures.lines import Lines
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm
from tests.fixtures.story import Story
from tests.fixtures.tpm import LABEL as TPM_LABEL
from tests.fixtures.tpm import NEEDS as TPM_NEEDS
from tests.fixtures.tpm import TPM, tpm

from troth.demo.key_search import KeySearch
from troth.device.identity import open_identity

__all__ = ["softhsm", "tpm"]

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("openssl", "curl", "mosquitto_sub")]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "embedded" / "agent.py"
SNAPSHOTS_MAX = 100
"""It is between two signatures in about every second one."""


@dataclass(frozen=True)
class Agent:
    """An agent that is connected with its home."""

    path: Path
    process: subprocess.Popen[str]
    lines: Lines

    @property
    def search(self) -> KeySearch:
        """The search for its key."""
        return KeySearch(open_identity(self.path).certificate.public_key())

    def be_stolen_from(self) -> Mapping[str, str]:
        """Return what came of the thief's attempts, and let it end."""
        assert self.process.stdin is not None
        self.process.stdin.write("now\n")
        self.process.stdin.flush()
        assert self.process.wait(60) == 0
        found: Mapping[str, str] = json.loads(self.lines.wait_for_end()[-1])
        return found


@contextmanager
def agent(story: Story, folder: Path, *token: object, environment: Mapping[str, str] | None = None) -> Iterator[Agent]:
    """Run one of a new thing, until the end of the block at the latest; its reading has arrived."""
    thing, path = story.estate.thing("vault"), folder / "identity"
    topic = f"home/{thing}/reading"
    service = story.listen(topic)
    doors = (story.platform.address("https")[1], story.door.port)
    words = [path, thing, *doors, story.estate.root_file, topic, *token]
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, words)],
        env={**os.environ, **(environment or {}), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(story.estate.token(thing) + "\n")
            process.stdin.flush()
            lines = Lines(process.stdout)
            lines.wait_for(lambda line: line == "connected", "that it is connected")
            service.wait_for(topic, thing)
            yield Agent(path, process, lines)
        finally:
            process.kill()


def test_a_key_in_a_file_is_found_in_the_file_and_in_memory(embedded: Story, tmp_path: Path) -> None:
    with agent(embedded, tmp_path) as own:
        on_disk, in_memory = own.search.in_files(own.path), own.search.in_memory(own.process.pid)
    assert on_disk is not None
    assert (on_disk.where, on_disk.form) == (str(own.path / "a" / "key.pem"), "PEM")
    assert in_memory is not None
    assert in_memory.key.private_numbers() == on_disk.key.private_numbers()


@pytest.mark.needs(*TPM_NEEDS)
def test_a_key_in_a_tpm_is_nowhere_else_and_is_not_given_away(embedded: Story, tmp_path: Path, tpm: TPM) -> None:
    place = (tpm.module, tpm.pin_file, TPM_LABEL)
    with agent(embedded, tmp_path, *place, environment=tpm.environment) as own:
        assert own.search.in_files(own.path) is None
        assert own.search.in_files(tpm.folder / "store") is None
        assert own.search.in_memory(own.process.pid) is None
        came = own.be_stolen_from()
    # It does what it is told with what it says of the key, and still has no key to give.
    assert came == {
        "read VALUE": "AttributeTypeInvalid",
        "read a copy laid open": "FunctionNotSupported",
        "wrap": "FunctionNotSupported",
        "read it, laid open": "AttributeTypeInvalid",
    }


@pytest.mark.needs("softhsm2-util", "pkcs11-engine")
def test_a_key_in_softhsm_is_on_no_disk_but_signs_in_the_agents_own_memory(
    embedded: Story, tmp_path: Path, softhsm: SoftHSM
) -> None:
    """SoftHSM is a library in the agent's process: no token, whatever it refuses. The search tells the two apart."""
    with agent(embedded, tmp_path, softhsm.module, softhsm.pin_file, LABEL, environment=softhsm.environment) as own:
        assert own.search.in_files(own.path) is None
        assert own.search.in_files(softhsm.tokens) is None
        search = own.search
        snapshots = (search.in_memory(own.process.pid) for _ in range(SNAPSHOTS_MAX))
        assert any(found is not None for found in snapshots)
        came = own.be_stolen_from()
    assert came == {
        "read VALUE": "AttributeSensitive",
        "read a copy laid open": "AttributeReadOnly",
        "wrap": "KeyUnextractable",
        "read it, laid open": "AttributeReadOnly",
    }
