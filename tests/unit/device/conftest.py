"""A home's certificates as they are now, and what a device asks for."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fixtures.hierarchy import Maker, built_in_profiles
from tests.unit.device.home import Home

from troth.x509.profiles import parse_profile


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose certificates are valid now."""
    return _home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def other_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Another home, of the same name and with keys of its own."""
    return _home(tmp_path_factory.mktemp("other"))


def _home(folder: Path) -> Home:
    profiles = {name: parse_profile(text) for name, text in built_in_profiles().items()}
    return Home(Maker(profiles, datetime.now(UTC)), folder)


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of the loopback that is taken and at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
