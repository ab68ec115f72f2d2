"""Every error that OpenSSL can find is forced upon an honest device's handshake, at a door that would overrule all."""

import ssl
from contextlib import suppress
from dataclasses import replace

import pytest
from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from tests.unit.tls.certificates import leaf
from tests.unit.tls.harness import World
from tests.unit.tls.test_overruling import ALL, CHAIN, yes

from troth.tls.overruling import may_overrule
from troth.tls.peer import proven
from troth.tls.reasons import Verdict
from troth.tls.server import ServerTLS

pytestmark = pytest.mark.slow

MODE = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
OK = 0


class Forced:
    """A door at which OpenSSL finds `error` in the certificate at `depth`, whatever is there."""

    def __init__(self, tls: ServerTLS, depth: int) -> None:
        self.tls = tls
        self.error = OK
        self.found = 0
        heeding = tls.context.get_app_data()

        def force(ok: int, store: object) -> int:
            if self.error == OK or lib.X509_STORE_CTX_get_error_depth(store) != depth:
                return ok
            self.found += 1
            lib.X509_STORE_CTX_set_error(store, self.error)
            return int(heeding(0, store))

        self._kept = ffi.callback("int (*)(int, X509_STORE_CTX *)", force, error=0)
        lib.SSL_CTX_set_verify(tls.context._context, MODE, self._kept)

    def lets_in(self, context: ssl.SSLContext) -> bool:
        """Say whether a client comes in; what it is then marked as must be the verdict's."""
        server = self.tls.connection()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        for _ in range(4):
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            if said := outgoing.read():
                server.bio_write(said)
            try:
                server.do_handshake()
            except SSL.WantReadError:
                incoming.write(server.bio_read(32_768))
            except SSL.Error:
                return False
            else:
                peer = proven(server, self.tls.engine)
                assert (peer.is_stranger or peer.is_expired) is (self.error != OK)
                return True
        raise AssertionError("the handshake has no end")


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("depth", [0, 1])
def test_what_may_not_be_overruled_ends_the_handshake(world: World, depth: int, version: ssl.TLSVersion) -> None:
    tls = replace(world.tls(), admits_expired=yes, knows_stranger=yes)
    door = Forced(tls, depth)
    device = leaf("thermostat", world.devices, above=(world.devices.certificate,))
    client = world.client(device, version)
    assert door.lets_in(client)
    let_in = set()
    for error in ALL:
        door.error, door.found = error, 0
        if door.lets_in(client):
            let_in.add(error)
        assert door.found, "nothing was forced"
    assert let_in == {error for error in ALL if may_overrule(Verdict(error, depth), CHAIN, None, yes, yes)}
    assert 3 <= len(let_in) <= 4
    door.error = OK
    assert door.lets_in(client)


def test_a_door_that_asks_nobody_refuses_all(world: World) -> None:
    door, client = Forced(world.tls(), 0), world.client(world.device)
    for error in ALL:
        door.error = error
        assert not door.lets_in(client), error
    door.error = OK
    assert door.lets_in(client)
