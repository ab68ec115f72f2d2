"""Which parts make up each process that `troth.app.worker` runs."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from troth.app.cabinet import FileCabinet
from troth.app.duties import keep
from troth.app.home import Home, open_home
from troth.app.settings import Settings
from troth.app.wiring.database import open_database
from troth.app.wiring.door import open_door
from troth.authority.serve import serve as serve_authority
from troth.clock import SystemClock
from troth.gateway.http.serve import serve_http
from troth.gateway.mqtt.upstream import Broker
from troth.gateway.report import Report
from troth.gateway.serve import Options
from troth.gateway.serve import serve as serve_mqtt
from troth.gateway.witness import Witness
from troth.keys.file import parse_key
from troth.keys.files import read_bounded
from troth.limits import KEY_FILE_BYTES_MAX
from troth.registry.issuers import list_issuers
from troth.store.connect import Database
from troth.store.read import read
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS
from troth.web.serve import serve_web
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

GRACE_S: Final = 5.0
"""How long answers under way may take to end when a process stops."""

Job = dict[str, Any]
Ready = Callable[[], None]


@contextmanager
def _parts(job: Job) -> Iterator[tuple[Home, Settings, Database]]:
    home, settings = open_home(Path(job["home"]), os.environ)
    db = open_database(home, settings)
    try:
        yield home, settings, db
    finally:
        db.dispose()


async def run_authority(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """The process that holds the CA keys: signs what committed intents stand for, and does the periodic duties."""
    with _parts(job) as (home, settings, db):
        passphrase = job["passphrase"]
        cabinet = FileCabinet(home.path, passphrase.encode() if passphrase else None)
        # Nothing that comes from outside asks for another kind: whoever takes a gateway cannot have an operator made.
        door = open_door(db, cabinet, settings.site.public_url, (Purpose.DEVICES,))
        clock = SystemClock()
        keeping = asyncio.create_task(keep(db, clock), name="periodic duties")
        try:
            await serve_authority(db, clock, door, home.doorbell, stop, ready)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def run_gateway(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """The process that devices connect to: MQTT, EST and what is public."""
    with _parts(job) as (home, settings, db):
        door_tls = partial(_server_tls, home, db, job["server_key"], "gateway", Purpose.DEVICES, settings)
        clock, limits = SystemClock(), settings.limits.resolve()
        gateway = await serve_mqtt(
            db,
            clock,
            settings.realm,
            limits,
            server_tls=door_tls(ClientAuth.REQUIRED),
            broker=Broker(**job["upstream"]),
            listening=_listening(job, "mqtt"),
            worker=_worker(job),
            options=Options(
                drops_denied=settings.gateway.on_denied_publish == "drop",
                unknown_state_for=settings.gateway.unknown_state_for,
            ),
        )
        try:
            doors = await serve_http(
                db,
                clock,
                limits,
                public_url=settings.site.public_url,
                bell=home.doorbell,
                server_tls=door_tls(ClientAuth.OPTIONAL),
                observer=Witness(gateway.report),
                https=_listening(job, "https"),
                public=_listening(job, "public"),
            )
            try:
                ready()
                await _until(stop, gateway.failed(), doors.failed())
            finally:
                await doors.close(GRACE_S)
        finally:
            await gateway.close()


def _server_tls(
    home: Home, db: Database, key_pem: str, name: str, peers: Purpose, settings: Settings, client_auth: ClientAuth
) -> ServerTLS:
    """Return a door's TLS. Peers' issuing CAs are its anchors, not the root: each vouches for one kind of peer."""
    with read(db) as connection:
        anchors = tuple(issuer.certificate for issuer in list_issuers(connection) if issuer.purpose is peers)
    chain = parse_chain(read_bounded(home.servers / f"{name}.pem", KEY_FILE_BYTES_MAX))
    return ServerTLS(
        ServerIdentity(chain, parse_key(key_pem.encode(), None).private_key),
        anchors,
        client_auth,
        handshake_s=settings.limits.resolve().handshake_s,
    )


def _listening(job: Job, name: str) -> socket.socket:
    return socket.socket(fileno=job["descriptors"][name])


async def _until(stop: asyncio.Event, *failures: Awaitable[None]) -> None:
    """Return when `stop` is set; raise what one of `failures` raises before."""
    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in (stop.wait(), *failures)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def run_web(job: Job, stop: asyncio.Event, ready: Ready) -> None:
    """The process that people connect to."""
    with _parts(job) as (home, settings, db):
        clock, limits = SystemClock(), settings.limits.resolve()
        tls = _server_tls(home, db, job["server_key"], "web", Purpose.OPERATORS, settings, ClientAuth.REQUIRED)
        report = Report(db, clock, _worker(job), limits)
        reporting = asyncio.create_task(report.run())
        door = await serve_web(
            db,
            clock,
            limits,
            bell=home.doorbell if settings.processes.authority else None,
            server_tls=tls,
            observer=Witness(report),
            operators=_listening(job, "operators"),
        )
        try:
            ready()
            await _until(stop, asyncio.shield(reporting))
        finally:
            await door.close(GRACE_S)
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
            await report.close()


def _worker(job: Job) -> str:
    """Return a name that no other process of any host has."""
    return f"{socket.gethostname()}/{job['name']}/{os.getpid()}"
