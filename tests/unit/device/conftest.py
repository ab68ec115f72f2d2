"""Two homes with certificates as they are now, and a port at which nobody is."""

import socket
from collections.abc import Iterator

import pytest
from tests.unit.device.home import Home, make_home


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose certificates are valid now."""
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def other_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Another home, of the same name and with keys of its own."""
    return make_home(tmp_path_factory.mktemp("other"))


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of the loopback that is taken and at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
