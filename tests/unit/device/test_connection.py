"""What becomes of a connection that a door of the home, or something in its place, refuses."""

import socket
import ssl
import struct
import threading

import pytest
from tests.unit.device.home import THING, Home

from troth.clock import SystemClock
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.mqtt import Client
from troth.errors import Kind
from troth.protocols.mqtt import Connect
from troth.tls.client import Refusal

ADDRESS = Address("home.example", 8883)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("unknown-issuer", Kind.UNAUTHENTICATED),
        ("self-signed", Kind.UNAUTHENTICATED),
        ("wrong-name", Kind.UNAUTHENTICATED),
        ("wrong-purpose", Kind.UNAUTHENTICATED),
        ("bad-signature", Kind.UNAUTHENTICATED),
        ("untrusted", Kind.UNAUTHENTICATED),
        ("expired", Kind.EXPIRED),
        ("not-yet-valid", Kind.EXPIRED),
        ("closed", Kind.UNAVAILABLE),
        ("reset", Kind.UNAVAILABLE),
        ("timeout", Kind.UNAVAILABLE),
        ("unreachable", Kind.UNAVAILABLE),
        ("not-tls", Kind.UNSUPPORTED),
        ("no-shared-protocol", Kind.UNSUPPORTED),
        ("other", Kind.UNAVAILABLE),
        ("a-word-of-a-later-version", Kind.UNAVAILABLE),
        ("alert:unknown_ca", Kind.UNAUTHENTICATED),
        ("alert:certificate_required", Kind.UNAUTHENTICATED),
        ("alert:certificate_revoked", Kind.UNAUTHENTICATED),
        ("alert:certificate_expired", Kind.EXPIRED),
        ("alert:protocol_version", Kind.UNSUPPORTED),
        ("alert:internal_error", Kind.UNAVAILABLE),
    ],
)
def test_every_word_for_a_failure_has_a_kind_and_says_where(word: str, kind: Kind) -> None:
    fault = ConnectionFault(ADDRESS, Refusal(word, "detail"))
    assert fault.kind is kind
    assert fault.message.startswith("no connection to home.example:8883: ")
    assert fault.detail == "detail"
    assert fault.refusal.word == word


def test_an_alert_is_read_even_when_the_server_was_gone_before_we_wrote(home: Home, other_home: Home) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server.chain_file, home.server.key_file)
    context.load_verify_locations(home.root_file)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as connection:
                with pytest.raises(ssl.SSLCertVerificationError):
                    connection.do_handshake()
                # Closing so sends a reset at once, as a server does that closes over unread bytes.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=refuse)
        thread.start()
        address = Address("127.0.0.1", listener.getsockname()[1])
        connection = dial(address, "home.example", (home.root,), other_home.device())
        thread.join()
        with pytest.raises(ConnectionFault) as caught:
            Client(connection, SystemClock(), address=address).open(Connect(THING))
    assert caught.value.refusal.alert == "unknown_ca"
