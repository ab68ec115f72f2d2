"""An agent whose Python cannot use the engine: stunnel does its TLS, and comes again when it was killed.

Whom stunnel refuses is tried in tests/unit/tls/test_stunnel.py and tests/unit/device/test_by_stunnel.py.
"""

import os
import signal
from pathlib import Path

import pytest
from tests.fixtures.agents import Agent, agent
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm
from tests.fixtures.story import Story

__all__ = ["softhsm"]

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("openssl", "curl", "mosquitto_sub", "softhsm2-util", "pkcs11-engine", "stunnel"),
]


def stunnel_of(own: Agent) -> int:
    """Return the process that has the agent's MQTT connection: the one that it has started and that goes on."""
    tasks = Path(f"/proc/{own.process.pid}/task").iterdir()
    (pid,) = (int(each) for task in tasks for each in (task / "children").read_text().split())
    assert Path(f"/proc/{pid}/comm").read_text().startswith("stunnel")
    return pid


def test_an_agent_goes_by_stunnel_where_its_python_cannot_use_the_token(
    embedded: Story, tmp_path: Path, softhsm: SoftHSM
) -> None:
    place = (softhsm.module, softhsm.pin_file, LABEL)
    with agent(embedded, tmp_path, *place, environment=softhsm.environment, can_use_tokens=False) as own:
        own.until("home-asked")
        first = stunnel_of(own)
        # No word of the PIN stands where other users of the machine can read.
        assert softhsm.pin_file.read_text().strip().encode() not in Path(f"/proc/{first}/cmdline").read_bytes()
        os.kill(first, signal.SIGKILL)
        own.until("disconnected")
        own.until("connected", 2)
        assert stunnel_of(own) != first
        own.be_stolen_from()
