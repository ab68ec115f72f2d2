"""`python -m bench.enroll.bare HOME`: TLS as the home's HTTPS door has it, by the same code, and nothing behind it.

Says its port on standard output, and serves until it is terminated.
"""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import uvloop

from troth.app.home import open_home
from troth.app.wiring.database import open_database
from troth.keys.file import read_key
from troth.registry.issuers import list_issuers
from troth.store.read import read
from troth.tls.library import configure_openssl
from troth.tls.server import Acceptor, ClientAuth, PendingHandshakes, ServerIdentity, ServerTLS
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

PENDING_MAX = 1000


class Nobody:
    """Hears of handshakes, and does nothing."""

    def on_success(self, *_: object) -> None: ...
    def on_failure(self, *_: object) -> None: ...


def server_tls(path: Path) -> ServerTLS:
    """Return what the home's HTTPS door shows and demands."""
    home, settings = open_home(path, {})
    db = open_database(home, settings)
    try:
        with read(db) as connection:
            anchors = [each.certificate for each in list_issuers(connection) if each.purpose is Purpose.DEVICES]
    finally:
        db.dispose()
    chain = parse_chain((home.servers / "gateway.pem").read_bytes())
    key = read_key(home.servers / "gateway.key", None)
    identity = ServerIdentity(tuple(chain), key.servable_key)
    return ServerTLS(identity, tuple(anchors), ClientAuth.OPTIONAL, alpn=("http/1.1",))


async def serve(tls: ServerTLS) -> None:
    """Accept and shake hands until SIGTERM."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    acceptor = Acceptor(tls, Nobody(), PendingHandshakes(PENDING_MAX))
    sock = socket.create_server(("127.0.0.1", 0), backlog=PENDING_MAX)
    server = await loop.create_server(lambda: acceptor.protocol(asyncio.Protocol), sock=sock)
    print(json.dumps({"port": sock.getsockname()[1]}), flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    configure_openssl()
    uvloop.run(serve(server_tls(Path(sys.argv[1]))))
