"""What the processes have in common."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from troth.app.home import Home, open_home
from troth.app.settings import Settings
from troth.app.wiring.database import open_database
from troth.keys.file import parse_key
from troth.keys.files import read_bounded
from troth.limits import KEY_FILE_BYTES_MAX
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

GRACE_S: Final = 5.0
"""How long answers under way may take to end when a process stops."""

Job = dict[str, Any]
Ready = Callable[[], None]


@contextmanager
def parts(job: Job) -> Iterator[tuple[Home, Settings, Database]]:
    """Yield what every process has: the home, its settings and its database."""
    home, settings = open_home(Path(job["home"]), os.environ)
    db = open_database(home, settings)
    try:
        yield home, settings, db
    finally:
        db.dispose()


def server_tls(
    home: Home, db: Database, key_pem: str, name: str, peers: Purpose, settings: Settings, client_auth: ClientAuth
) -> ServerTLS:
    """Return a door's TLS. Peers' issuing CAs are its anchors, not the root: each vouches for one kind of peer."""
    with read(db) as connection:
        anchors = tuple(
            issuer.certificate for issuer in list_issuers(connection) if issuer.purpose is peers and issuer.is_trusted
        )
    chain = parse_chain(read_bounded(home.servers / f"{name}.pem", KEY_FILE_BYTES_MAX))
    return ServerTLS(
        ServerIdentity(chain, parse_key(key_pem.encode(), None).servable_key),
        anchors,
        client_auth,
        handshake_s=settings.limits.resolve().handshake_s,
    )


def listening(job: Job, name: str) -> socket.socket:
    """Return the inherited socket of this name."""
    return socket.socket(fileno=job["descriptors"][name])


async def until(stop: asyncio.Event, *failures: Awaitable[None]) -> None:
    """Return when `stop` is set; raise what one of `failures` raises before."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in (stop.wait(), *failures)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


def worker_name(job: Job) -> str:
    """Return a name that no other process of any host has."""
    return f"{socket.gethostname()}/{job['name']}/{os.getpid()}"
