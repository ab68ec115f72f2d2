"""Renewal with real processes: a home that is one process with its authority, and a device that is another.

Each can be ended by SIGKILL: the home at a named point, the device before any change that it makes to its disk. What a
network loses is lost behind the device's back, between the answer's arrival and its reading.
"""

import asyncio
import http.client
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tests.crash.journeys import OPERATOR, PUBLIC_URL, Place
from tests.fixtures.doors import Listener

from troth.app import logs
from troth.app.wiring.door import open_door
from troth.authority.serve import serve as serve_authority
from troth.authority.settle import issue
from troth.clock import SystemClock
from troth.device.endpoint import Address, Endpoint
from troth.device.enroll import Wanted, enroll
from troth.device.renew import renew, retire_previous
from troth.enrollment.tokens import create_token
from troth.gateway.http.serve import serve_http
from troth.journal.change import change
from troth.keys.file import generate, parse_key, render_key
from troth.keys.requests import build_request
from troth.limits import DEFAULT
from troth.registry.issuers import get_issuer
from troth.registry.things import create_thing
from troth.store.read import read
from troth.testing.crashing import arm
from troth.tls.server import ClientAuth, ServerIdentity, ServerTLS
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import parse_chain, render_chain
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

CHANGES = {"os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir"}
WRITES = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Home:
    """A site, and the port at which its door is to be found whenever it is open."""

    place: Place
    port: int

    def identity(self, thing: str) -> Path:
        """Where a device keeps its identity."""
        return self.place.folder / thing

    def changes(self, thing: str) -> Path:
        """Where it writes down the changes that it makes to its disk."""
        return self.place.folder / f"{thing}.changes"


def certify_server(place: Place) -> None:
    """Give the home's door a key and a certificate; before anything else is running."""
    key = generate(KeyAlgorithm.P256)
    with place.database() as db:
        certificate = issue(
            db,
            SystemClock(),
            open_door(db, place.cabinet(), PUBLIC_URL),
            OPERATOR,
            profile="server",
            request=parse_request(build_request(key, "localhost")),
            name="localhost",
            alternative_names=["localhost"],
            method="operator",
            proof={},
            public_url=PUBLIC_URL,
        )
        with read(db) as connection:
            chain = [certificate, get_issuer(connection, Purpose.SERVERS).certificate]
    (place.folder / "server.pem").write_bytes(render_chain(chain))
    (place.folder / "server.key").write_bytes(render_key(key, None))


def enroll_device(home: Home, thing: str) -> None:
    """Give a new thing its first identity, while the home is open."""
    with home.place.database() as db:
        with change(db, SystemClock(), OPERATOR) as changing:
            create_thing(changing, thing)
            secret = create_token(changing, thing, timedelta(days=1)).secret
        with read(db) as connection:
            root = get_issuer(connection, Purpose.ROOT).certificate
    address = Address("localhost", home.port)
    enroll(home.identity(thing), Wanted(thing, Endpoint(address, address), (root,)), secret, SystemClock())


def run_home(home: Home, die_at: str | None) -> None:
    """Be the home: door and authority, until this process is killed."""
    logs.configure("home", "json", level=logging.CRITICAL)
    arm(home.place.trace("home"), die_at)
    asyncio.run(_serve(home))


async def _serve(home: Home) -> None:
    place, clock = home.place, SystemClock()
    with place.database() as db:
        with read(db) as connection:
            anchors = (get_issuer(connection, Purpose.DEVICES).certificate,)
        chain = parse_chain((place.folder / "server.pem").read_bytes())
        key = parse_key((place.folder / "server.key").read_bytes(), None)
        bell, ready, never = place.folder / "bell", asyncio.Event(), asyncio.Event()
        door = open_door(db, place.cabinet(), PUBLIC_URL, (Purpose.DEVICES,))
        with suppress(FileNotFoundError):
            bell.unlink()
        authority = asyncio.create_task(serve_authority(db, clock, door, bell, never, ready.set))
        await ready.wait()
        await serve_http(
            db,
            clock,
            DEFAULT,
            public_url=PUBLIC_URL,
            bell=bell,
            server_tls=ServerTLS(ServerIdentity(chain, key.servable_key), anchors, ClientAuth.OPTIONAL),
            observer=Listener(),
            https=_bound(home.port),
            public=_bound(0),
        )
        await authority


def _bound(port: int) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def run_device(home: Home, thing: str, die_before: int | None, lose: int | None) -> None:
    """Renew once and let the old credential go; be killed before the change of this number, or lose that answer."""
    watch_disk(home.identity(thing), home.changes(thing), die_before)
    if lose is not None:
        lose_answer(lose)
    done = renew(home.identity(thing), SystemClock())
    # As after a connection with the new credential.
    retire_previous(home.identity(thing), done.identity.slot)


def watch_disk(folder: Path, changes: Path, die_before: int | None) -> None:
    """Write down each change to `folder` before it is made; end this process before that of the number given."""
    descriptor = os.open(changes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    count = 0

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if not (writes or event in CHANGES) or not any(str(each).startswith(f"{folder}/") for each in arguments[:2]):
            return
        count += 1
        os.write(descriptor, f"{event}\n".encode())
        if count == die_before:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def lose_answer(number: int) -> None:
    """Break the connection off when the answer of this number has come and has not been read."""
    whole, count = http.client.HTTPConnection.getresponse, 0

    def getresponse(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        nonlocal count
        response = whole(connection)
        count += 1
        if count == number:
            raise ConnectionResetError("lost on the way")
        return response

    http.client.HTTPConnection.getresponse = getresponse  # type: ignore[assignment, method-assign]
