"""One world of certificates for the session, and both kinds of event loop for every test that asks for one."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.unit.tls.certificates import SERVER, authority, leaf
from tests.unit.tls.harness import LOOPS, LoopFactory, World


@pytest.fixture(params=sorted(LOOPS))
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    return LOOPS[request.param]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tls")
    root = authority("Home root")
    devices = authority("Home devices", root)
    servers = authority("Home servers", root)
    (folder / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    return World(
        root=root,
        devices=devices,
        server=leaf("home", servers, SERVER, names=["localhost"], above=(servers.certificate,)),
        device=leaf("thermostat", devices),
        folder=Path(folder),
    )
