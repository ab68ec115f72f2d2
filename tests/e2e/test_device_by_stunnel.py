"""An agent whose Python cannot use the engine: stunnel does its TLS, and comes again when it was killed.

Whom stunnel refuses is tried in tests/unit/tls/test_stunnel.py and tests/unit/device/test_by_stunnel.py.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fixtures.agents import Agent, agent
from tests.fixtures.platform import until
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm
from tests.fixtures.story import Story

__all__ = ["softhsm"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("openssl", "curl", "mosquitto_sub", "softhsm2-util", "pkcs11-engine", "stunnel"),
]


def stunnels_of(own: Agent) -> dict[int, bytes]:
    """Return the processes that have the agent's connections: with the gateway, and any that asks the home just now.

    With the words that they were started with.
    """
    found = {}
    for task in Path(f"/proc/{own.process.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # threads and processes that end meanwhile
            for each in (task / "children").read_text().split():
                found[int(each)] = Path(f"/proc/{each}/cmdline").read_bytes()
    return found


def the_one_of(own: Agent) -> tuple[int, bytes]:
    """Return the process that has the connection with the gateway, once the agent asks the home nothing.

    Nobody is to be killed while it writes to SoftHSM's files.
    """
    found: dict[int, bytes] = {}

    def is_alone() -> bool:
        found.clear()
        found.update(stunnels_of(own))
        return len(found) == 1

    until(is_alone, "that one stunnel is left", 60.0)
    return found.popitem()


def test_an_agent_goes_by_stunnel_where_its_python_cannot_use_the_token(
    embedded: Story, tmp_path: Path, softhsm: SoftHSM
) -> None:
    place = (softhsm.module, softhsm.pin_file, LABEL)
    with agent(embedded, tmp_path, *place, environment=softhsm.environment, can_use_tokens=False) as own:
        first, words = the_one_of(own)
        # It is not where other users of the machine can read it.
        assert softhsm.pin_file.read_text().strip().encode() not in words
        os.kill(first, signal.SIGKILL)
        own.until("disconnected")
        own.until("connected", 2)
        assert stunnels_of(own).keys() - {first}
        own.be_stolen_from()
