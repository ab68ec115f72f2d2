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
from troth.errors import Fault, Kind
from troth.keys.file import parse_key, read_key
from troth.keys.files import read_bounded
from troth.limits import CERTIFICATE_BYTES_MAX, CHAIN_CERTIFICATES_MAX, SERVER_NAMES_MAX
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS, dns_names
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

NAMED: Final = "names"
"""The folder of ``servers/`` with certificates that others have made for names of ours."""
CHAIN_BYTES_MAX: Final = 2 * CERTIFICATE_BYTES_MAX * CHAIN_CERTIFICATES_MAX
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
    home: Home,
    db: Database,
    key_pem: str,
    name: str,
    peers: Purpose,
    settings: Settings,
    client_auth: ClientAuth,
    alpn: tuple[str, ...],
) -> ServerTLS:
    """Return a door's TLS. Peers' issuing CAs are its anchors, not the root: each vouches for one kind of peer.

    What is in ``servers/names/`` is shown to devices by its names.
    """
    with read(db) as connection:
        anchors = tuple(
            issuer.certificate for issuer in list_issuers(connection) if issuer.purpose is peers and issuer.is_trusted
        )
    chain = parse_chain(read_bounded(home.servers / f"{name}.pem", CHAIN_BYTES_MAX))
    return ServerTLS(
        ServerIdentity(chain, parse_key(key_pem.encode(), None).servable_key),
        anchors,
        client_auth,
        alpn,
        handshake_s=settings.limits.resolve().handshake_s,
        named=named_identities(home.servers / NAMED) if peers is Purpose.DEVICES else (),
        refuses_unknown_names=settings.gateway.unknown_server_name == "refuse" and peers is Purpose.DEVICES,
    )


def named_identities(folder: Path) -> tuple[ServerIdentity, ...]:
    """Read every ``NAME.pem`` of a folder, which need not be there, and the ``NAME.key`` beside it."""
    chains = sorted(folder.glob("*.pem"))
    if len(chains) > SERVER_NAMES_MAX:
        raise Fault(Kind.MISCONFIGURED, f"{folder} has more than {SERVER_NAMES_MAX} certificates")
    return tuple(map(_identity, chains))


def _identity(file: Path) -> ServerIdentity:
    try:
        chain = parse_chain(read_bounded(file, CHAIN_BYTES_MAX))
        if not dns_names(chain[0]):
            raise Fault(Kind.MISCONFIGURED, "it has no DNS name")
        # Read by every worker whenever it changes: no passphrase unlocks it.
        return ServerIdentity(chain, read_key(file.with_suffix(".key"), None).servable_key)
    except Fault as fault:
        raise Fault(
            Kind.MISCONFIGURED,
            f"{file} cannot be shown: {fault.message}",
            hint="beside a chain NAME.pem, the server's certificate first, must be its key NAME.key, not encrypted",
            detail=fault.detail,
        ) from fault


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
