"""The web process's door, put together."""

import socket
from pathlib import Path

from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.limits import Limits
from troth.store.connect import Database
from troth.tls.asgi import HTTPServer, serve
from troth.tls.server import Acceptor, ClientAuth, HandshakeObserver, PendingHandshakes, ServerTLS
from troth.web.app import OperatorsDoor


async def serve_web(
    db: Database,
    clock: Clock,
    limits: Limits,
    *,
    bell: Path | None,
    server_tls: ServerTLS,
    observer: HandshakeObserver,
    operators: socket.socket,
) -> HTTPServer:
    """Return the operators' door, open on `operators`, a bound socket that is ours from now on.

    `bell` is the authority's on this host, or None. Raises `Fault` (misconfigured) for a door that does not require a
    certificate.
    """
    if server_tls.client_auth is not ClientAuth.REQUIRED:
        raise Fault(Kind.MISCONFIGURED, "the operators' door must require a certificate of every client")
    acceptor = Acceptor(server_tls, observer, PendingHandshakes.within(limits))
    return await serve(OperatorsDoor(db, clock, bell), operators, clock, limits, acceptor)
