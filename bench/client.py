"""A device for the load: blocking TLS sockets of the standard library, packets encoded before the clock runs."""

import socket
import ssl
from typing import Final

from bench.site import NAME, Identity, Site
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Disconnect, Suback, Subscribe, Subscription, render

TIMEOUT_S: Final = 5.0
"""Longest wait for one step; a message that takes longer counts as lost."""
_ACCEPTED: Final = render(Connack(ConnackCode.ACCEPTED))
_DISCONNECT: Final = render(Disconnect())


class Unexpected(Exception):
    """A server did something else than was asked of it."""


def tls_context(site: Site, identity: Identity) -> ssl.SSLContext:
    """Return the client's side of TLS 1.3: it checks the server, and shows its own certificate without a chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(site.root_file)
    context.load_cert_chain(identity.certificate_file, identity.key_file)
    return context


def connect_packet(client_id: str) -> bytes:
    """Return a CONNECT for a clean session of this id."""
    return render(Connect(client_id, keep_alive_s=60))


def connect(port: int, context: ssl.SSLContext, packet: bytes) -> ssl.SSLSocket:
    """Return a connection that the server has accepted. Raises `OSError`, `Unexpected`."""
    plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = context.wrap_socket(plain, server_hostname=NAME)
    except BaseException:
        plain.close()
        raise
    try:
        connection.sendall(packet)
        expect(connection, _ACCEPTED, "CONNACK")
    except BaseException:
        connection.close()
        raise
    return connection


def subscribe(connection: ssl.SSLSocket, topic: str) -> None:
    """Subscribe to a topic at QoS 0. Raises `OSError`, `Unexpected`."""
    connection.sendall(render(Subscribe(1, (Subscription(topic, 0),))))
    expect(connection, render(Suback(1, (0,))), "SUBACK")


def leave(connection: ssl.SSLSocket) -> None:
    """Say DISCONNECT and wait until the server has closed. Raises `OSError`, `Unexpected`."""
    with connection:
        connection.sendall(_DISCONNECT)
        if connection.recv(1):
            raise Unexpected("it speaks after DISCONNECT")


def expect(connection: ssl.SSLSocket, expected: bytes, what: str) -> None:
    """Read so many bytes and compare. Raises `OSError`, `Unexpected`."""
    answer = b""
    while len(answer) < len(expected):
        more = connection.recv(len(expected) - len(answer))
        if not more:
            raise Unexpected(f"it closed before its {what}")
        answer += more
    if answer != expected:
        raise Unexpected(f"its {what} is {answer.hex(' ')}")
