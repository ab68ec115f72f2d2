"""An agent's private key, looked for where the agent is while it signs: found when it is a file, not when a TPM has it.

The same search, the same agent, the same home; only where the key was made differs. What a token refuses to whoever
is logged in is asked for by name.
"""

from pathlib import Path

import pytest
from tests.fixtures.agents import agent
from tests.fixtures.softhsm import LABEL, SoftHSM, softhsm
from tests.fixtures.story import Story
from tests.fixtures.tpm import LABEL as TPM_LABEL
from tests.fixtures.tpm import NEEDS as TPM_NEEDS
from tests.fixtures.tpm import TPM, tpm

__all__ = ["softhsm", "tpm"]

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("openssl", "curl", "mosquitto_sub")]

SNAPSHOTS_MAX = 1000


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
def test_a_key_in_softhsm_is_in_no_file_and_is_not_given_away(
    embedded: Story, tmp_path: Path, softhsm: SoftHSM
) -> None:
    with agent(embedded, tmp_path, softhsm.module, softhsm.pin_file, LABEL, environment=softhsm.environment) as own:
        assert own.search.in_files(own.path) is None
        assert own.search.in_files(softhsm.tokens) is None
        came = own.be_stolen_from()
    assert came == {
        "read VALUE": "AttributeSensitive",
        "read a copy laid open": "AttributeReadOnly",
        "wrap": "KeyUnextractable",
        "read it, laid open": "AttributeReadOnly",
    }


@pytest.mark.soak
@pytest.mark.needs("softhsm2-util", "pkcs11-engine")
def test_softhsm_has_the_key_in_the_agents_memory_while_it_signs(
    embedded: Story, tmp_path: Path, softhsm: SoftHSM
) -> None:
    """It is a library in the agent's process: no token, whatever it refuses. Some snapshots fall between signatures."""
    with agent(embedded, tmp_path, softhsm.module, softhsm.pin_file, LABEL, environment=softhsm.environment) as own:
        search = own.search
        assert any(search.in_memory(own.process.pid) is not None for _ in range(SNAPSHOTS_MAX))
