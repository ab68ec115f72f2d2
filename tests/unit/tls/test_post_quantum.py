"""A device with an ML-DSA key shakes hands with our gateway's TLS; a stranger's certificate of that kind does not."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from OpenSSL import SSL, crypto
from tests.fixtures.hierarchy import Maker, Signed

from troth.app.profiles import built_in_profiles
from troth.clock import SystemClock
from troth.keys.file import generate, render_key
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import render_chain
from troth.x509.profile_text import parse_profile

POST_QUANTUM = [each for each in KeyAlgorithm if each.startswith("ML-DSA")]
STEPS_MAX = 20


@pytest.fixture(scope="module")
def maker() -> Maker:
    profiles = {name: parse_profile(text) for name, text in built_in_profiles().items()}
    return Maker(profiles, SystemClock().now() - timedelta(minutes=1))


def shake_hands(maker: Maker, device: Signed, folder: Path) -> crypto.X509 | None:
    """Return the certificate that the server has taken. Raises `SSL.Error` when either side refuses."""
    own = maker.server()
    identity = ServerIdentity((own.certificate, maker.servers.certificate), own.key.servable_key)
    server = ServerTLS(identity, (maker.devices.certificate,), ClientAuth.REQUIRED).connection()
    (folder / "device.key").write_bytes(render_key(device.key, None))
    (folder / "device.pem").write_bytes(render_chain([device.certificate]))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_privatekey_file(str(folder / "device.key"))
    context.use_certificate_file(str(folder / "device.pem"))
    client = SSL.Connection(context, None)
    client.set_connect_state()
    waiting = {id(client), id(server)}
    for _ in range(STEPS_MAX):
        for here, there in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                here.do_handshake()
                waiting.discard(id(here))
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(1 << 16))
        if not waiting:
            return server.get_peer_certificate()
    raise AssertionError("no end of the handshake")


@pytest.mark.parametrize("algorithm", POST_QUANTUM)
def test_a_device_with_a_post_quantum_key_is_let_in(maker: Maker, tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    device = maker.device("lamp-1", generate(algorithm))
    taken = shake_hands(maker, device, tmp_path)
    assert taken is not None
    assert taken.to_cryptography() == device.certificate


def test_one_that_a_stranger_has_certified_is_not(maker: Maker, tmp_path: Path) -> None:
    stranger = Maker(maker.profiles, maker.now).device("lamp-1", generate(KeyAlgorithm.MLDSA44))
    with pytest.raises(SSL.Error):
        shake_hands(maker, stranger, tmp_path)
