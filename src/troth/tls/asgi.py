"""An ASGI application behind one door: uvicorn's HTTP/1.1 protocol inside our TLS, or on plain TCP.

Adds what uvicorn leaves out: the peer's certificate in the ASGI TLS extension (version 0.2), a limit to how long a peer
may keep us waiting, and a stop that waits for answers under way. Installs no signal handlers and runs no lifespan.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

import h11
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from troth.clock import Clock
from troth.errors import Bug, PeerFault
from troth.limits import Limits
from troth.tls.context import CIPHERS_TLS12, CIPHERS_TLS13, ServerTLS
from troth.tls.joining import JoiningTransport
from troth.tls.peer import PeerTLS
from troth.tls.protocol import Acceptor

EXPIRED: Final = "certificate has expired"
"""The ``client_cert_error`` of a peer that a door lets in to renew its certificate, and for nothing else."""
_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_CIPHERS: Final = CIPHERS_TLS12 | CIPHERS_TLS13
# The Date header is this fresh (RFC 9110, 6.6.1).
_DATE_S: Final = 1.0
_PEMS_KEPT: Final = 64


Glance = Callable[[bytes, bytes], bytes | None]
"""Bytes received between two requests, and the Date to tell -> the whole answer; None: the application's to answer.

It answers one whole request without a body that leaves the connection open, and nothing else.
"""

Front = Callable[[Callable[[], asyncio.Protocol]], asyncio.Protocol]
"""What meets a connection before its protocol, of which it is given the maker."""


async def serve(
    app: ASGIApp,
    sock: socket.socket,
    clock: Clock,
    limits: Limits,
    acceptor: Acceptor | None = None,
    glance: Glance | None = None,
    front: Front | None = None,
) -> "HTTPServer":
    """Serve `app` to those who connect to `sock`, a bound socket that is ours from now on.

    With an `acceptor` over TLS, without one in the clear. Of `limits` count `request_s` and `connections_max`; the
    header of a request may have the 16 KiB of h11, and its body is for the application to bound. What `glance` answers
    the application does not see. `front` meets every connection first.
    """
    server = HTTPServer(app, clock, limits, acceptor, glance, front or (lambda make: make()))
    await server.start(sock)
    return server


class HTTPServer:
    """One listening socket and its connections. Made by `serve`."""

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        limits: Limits,
        acceptor: Acceptor | None,
        glance: Glance | None,
        front: Front,
    ) -> None:
        self.app = app
        self._front = front
        self.glance = glance
        self.date = b""
        self.limits = limits
        self.acceptor = acceptor
        self.state = ServerState()
        self.closing = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.config = Config(
            app,
            loop="none",
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self.config.load()
        self._clock = clock
        self._ticker: asyncio.TimerHandle | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Begin to accept connections on `sock`."""
        self._tell_date()
        self._listener = await asyncio.get_running_loop().create_server(lambda: self._front(self._protocol), sock=sock)

    def show(self, server_tls: ServerTLS) -> None:
        """Show and demand what `server_tls` says from the next connection on. For a server with an acceptor."""
        if self.acceptor is None:
            raise Bug("a server in the clear shows no certificate")
        self.acceptor = replace(self.acceptor, tls=server_tls)

    async def close(self, grace_s: float) -> None:
        """Accept no more, let answers under way end within `grace_s` seconds, then end what is left."""
        self.closing = True
        if self._listener is not None:
            self._listener.close()
        if self._ticker is not None:
            self._ticker.cancel()
        for connection in tuple(self.state.connections):
            if not connection.transport.is_closing():
                connection.shutdown()
        try:
            async with asyncio.timeout(grace_s):
                await self.empty.wait()
        except TimeoutError:
            left = len(self.state.connections)
            logging.getLogger(__name__).warning("ended %d connections before their answers", left)
        for connection in tuple(self.state.connections):
            connection.transport.abort()
        tasks = tuple(self.state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.empty.wait()

    def _protocol(self) -> asyncio.Protocol:
        return self._inner() if self.acceptor is None else self.acceptor.protocol(self._inner)

    def _inner(self) -> "_Connection":
        return _Connection(self)

    def _tell_date(self) -> None:
        date = format_datetime(self._clock.now(), usegmt=True).encode("ascii")
        self.date = date
        self.state.default_headers = [(b"date", date)]
        self._ticker = asyncio.get_running_loop().call_later(_DATE_S, self._tell_date)


class _Connection(H11Protocol):
    """One HTTP/1.1 connection that knows its peer's certificate, and ends when the peer keeps it waiting too long."""

    transport: JoiningTransport

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server.config, server.state, {}, asyncio.get_running_loop())
        self._server = server
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(JoiningTransport(transport, self.loop))
        self._server.empty.clear()
        if self._server.closing or len(self.connections) > self._server.limits.connections_max:
            transport.abort()
            return
        peer = transport.get_extra_info("tls")
        if isinstance(peer, PeerTLS) and self._server.acceptor is not None:
            self.scheme = "https"
            own = self._server.acceptor.tls.identity.chain[0]
            try:
                self.app = _with_peer(self._server.app, tls_extension(peer, _pem(own)), peer)
            except PeerFault:
                # What the peer presented above its own certificate cannot be shown to anybody.
                transport.abort()
                return
        self._watch()

    def data_received(self, data: bytes) -> None:
        glance = self._server.glance
        if glance is not None and self._is_between_requests():
            answer = glance(data, self._server.date)
            if answer is not None:
                self.transport.write(answer)
                self.transport.flush()
                self._unset_keepalive_if_required()
                self._unwatch()
                self._watch()
                return
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()
        if not self.connections:
            self._server.empty.set()

    def _is_between_requests(self) -> bool:
        """Whether nothing of a request has come yet, no answer is under way, and the peer takes what it is sent."""
        idle = self.conn.their_state is h11.IDLE and self.conn.our_state is h11.IDLE
        is_open = not (self._server.closing or self.transport.is_closing() or self.flow.write_paused)
        return idle and is_open and not self.conn.trailing_data[0]

    def _watch(self) -> None:
        """Let the time run while it is the peer's turn: to send a whole request, to read, or to see that we go."""
        request_due = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not (request_due or self.flow.write_paused or self.transport.is_closing()):
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._server.limits.request_s, self.transport.abort)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def tls_extension(peer: PeerTLS, server_certificate: str) -> Mapping[str, object]:
    """Return what an application finds in ``scope["extensions"]["tls"]``; certificates are PEM texts.

    Raises:
        PeerFault: MALFORMED, when the peer presented a certificate that cannot be read.
    """
    own = peer.certificate
    return {
        "server_cert": server_certificate,
        "client_cert_chain": [_pem(one) for one in peer.chain],
        "client_cert_name": own.subject.rfc4514_string() if own is not None else None,
        # Any other that is not good ends the handshake, and no application sees it.
        "client_cert_error": EXPIRED if peer.is_expired else None,
        "tls_version": _VERSIONS[peer.version],
        "cipher_suite": _CIPHERS[peer.cipher],
    }


@lru_cache(_PEMS_KEPT)
def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _with_peer(app: ASGIApp, extension: Mapping[str, object], peer: PeerTLS) -> ASGIApp:
    async def extended(scope: Scope, receive: Receive, send: Send) -> None:
        # Beside what ASGI names: the peer itself, for what binds a request to its connection.
        scope["extensions"] = {"tls": dict(extension), "troth": {"peer": peer}}
        await app(scope, receive, send)

    return extended
