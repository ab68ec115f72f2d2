"""The HTTP doors of one worker, put together: EST over TLS, public files in the clear, the journal that feeds both."""

import asyncio
import socket
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from troth.authority.bell import ring
from troth.clock import Clock
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.flow import Enrollment
from troth.errors import Fault, Kind
from troth.gateway.balancers import Front, direct
from troth.gateway.http.attempts import FailedAttempts
from troth.gateway.http.crl import CRLs
from troth.gateway.http.data import PATHS
from troth.gateway.http.est import ESTDoor
from troth.gateway.http.grace import Grace, tells_of_profiles
from troth.gateway.http.issuers import Issuers, tells_of_issuers
from troth.gateway.http.ocsp import OCSPDoor
from troth.gateway.http.ocsp_answers import Answers
from troth.gateway.http.status import StatusDoor
from troth.gateway.strangers import Strangers, tells_of_strangers
from troth.journal.entries import head
from troth.journal.tail import Follower
from troth.limits import ENROLLMENT_WAIT_S_MAX, Limits
from troth.store.connect import Database
from troth.store.read import read
from troth.tls.asgi import HTTPServer, serve
from troth.tls.server import Acceptor, ClientAuth, HandshakeObserver, PendingHandshakes, ServerTLS

ALPN: Final = ("http/1.1", "x-amzn-http-ca")
"""What clients may say that they speak at the HTTPS door: by the standard's name, or by AWS IoT's for mutual TLS."""
RETRY_S: Final = 1.0
CATCH_UP_S_MAX: Final = 2.0
"""Longest wait for the journal before nothing new is said."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fronts:
    """What meets the connections of each door first."""

    https: Front = direct
    public: Front = direct


class HTTPDoors:
    """The two HTTP doors at work. Made by `serve_http`."""

    def __init__(
        self, db: Database, clock: Clock, enrollment: Enrollment, conclusions: Conclusions, answers: Answers
    ) -> None:
        self.issuers = Issuers(db)
        self._grace = Grace(db, clock)
        self._strangers = Strangers(db, clock)
        self._crls = CRLs(db, clock)
        self._db = db
        self._clock = clock
        self._enrollment = enrollment
        self._conclusions = conclusions
        self._answers = answers
        self._is_fed = False
        self.position = 0
        """The number of the last journal entry that counts here."""
        self._servers: list[HTTPServer] = []
        self._following: asyncio.Task[None] | None = None

    async def start(
        self,
        https: socket.socket,
        public: socket.socket,
        acceptor: Acceptor,
        limits: Limits,
        fronts: Fronts,
        data: ASGIApp | None,
    ) -> None:
        """Learn who the issuers are, then accept. Raises `Fault` (unavailable)."""
        position = await asyncio.to_thread(self._position)
        await self._load()
        self._is_fed = True
        follower = Follower(self._db, self._clock, position, is_urgent=lambda: self._conclusions.is_awaited)
        self._following = asyncio.create_task(self._follow(follower), name="HTTP doors follow the journal")
        est = ESTDoor(self._db, self._clock, self._enrollment, self.issuers, FailedAttempts(self._clock))
        ocsp = OCSPDoor(
            self._answers, lambda: self._is_fed and follower.blind_since is None, partial(_catch_up, follower)
        )
        acceptor = replace(acceptor, tls=self._for_enrollment(acceptor.tls))
        app = est if data is None else _either(est, data)
        self._servers.append(await serve(app, https, self._clock, limits, acceptor, front=fronts.https))
        status = StatusDoor(self.issuers, self._crls, ocsp)
        public_server = await serve(status, public, self._clock, limits, glance=ocsp.at_a_glance, front=fronts.public)
        self._servers.append(public_server)

    def show(self, server_tls: ServerTLS) -> None:
        """Show and demand what `server_tls` says from the next connection on."""
        https, _public = self._servers
        https.show(self._for_enrollment(server_tls))

    def _for_enrollment(self, server_tls: ServerTLS) -> ServerTLS:
        """Return the same with a way in for certificates that have expired a short while ago, and for strangers'."""
        return replace(server_tls, admits_expired=self._grace.admits, knows_stranger=self._strangers.may_enroll)

    async def failed(self) -> None:
        """Wait for ever; raise what broke the part that should have gone on for ever."""
        assert self._following is not None, "start comes first"
        await asyncio.shield(self._following)

    async def close(self, grace_s: float) -> None:
        """Accept no more, let answers under way end within `grace_s` seconds, and stop."""
        await asyncio.gather(*(server.close(grace_s) for server in self._servers))
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        self._enrollment.close()
        await self._answers.close()

    async def _follow(self, follower: Follower) -> None:
        while True:
            try:
                await self._feed(follower)
            except Fault as fault:
                self._is_fed = False
                log.error("journal.unreadable", reason=fault.message, detail=fault.detail)
                await asyncio.sleep(RETRY_S)

    async def _feed(self, follower: Follower) -> None:
        # After a failure, what an entry told of may not have been loaded.
        await self._load()
        self._is_fed = True
        async with aclosing(follower.entries()) as batches:
            async for entries in batches:
                self._conclusions.apply(entries)
                self._answers.apply(entries)
                self._crls.apply(entries)
                if tells_of_issuers(entries) or tells_of_profiles(entries) or tells_of_strangers(entries):
                    await self._load()
                self.position = entries[-1].number

    async def _load(self) -> None:
        await asyncio.to_thread(self.issuers.load)
        await asyncio.to_thread(self._grace.load)
        await asyncio.to_thread(self._strangers.load)
        await self._answers.load()

    def _position(self) -> int:
        with read(self._db) as connection:
            return head(connection)


def _either(est: ASGIApp, data: ASGIApp) -> ASGIApp:
    """Return one application of both: who enrolls, and who has."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (data if scope["path"].startswith(PATHS) else est)(scope, receive, send)

    return app


async def _catch_up(follower: Follower) -> None:
    try:
        async with asyncio.timeout(CATCH_UP_S_MAX):
            await follower.catch_up()
    except TimeoutError as error:
        raise Fault(Kind.UNAVAILABLE, "the journal cannot be followed at the moment", detail=str(error)) from error


async def serve_http(
    db: Database,
    clock: Clock,
    limits: Limits,
    *,
    public_url: str,
    bell: Path,
    server_tls: ServerTLS,
    observer: HandshakeObserver,
    https: socket.socket,
    public: socket.socket,
    fronts: Fronts = Fronts(),
    data: ASGIApp | None = None,
) -> HTTPDoors:
    """Return the HTTP doors, open: EST on `https` behind `server_tls`, the public files on `public` in the clear.

    `bell` is where the authority of this host hears; on a host without one nobody does, which costs a moment only.
    The sockets are bound, and ours from now on. Raises `Fault`: misconfigured (a door that requires a certificate of
    those who come to get one), unavailable.
    """
    if server_tls.client_auth is ClientAuth.REQUIRED:
        raise Fault(Kind.MISCONFIGURED, "the enrollment door cannot require a certificate of every client")
    conclusions = Conclusions()
    enrollment = Enrollment(db, clock, public_url, conclusions, partial(ring, bell), ENROLLMENT_WAIT_S_MAX)
    answers = Answers(db, clock, public_url, conclusions, partial(ring, bell))
    doors = HTTPDoors(db, clock, enrollment, conclusions, answers)
    acceptor = Acceptor(server_tls, observer, PendingHandshakes.within(limits))
    await doors.start(https, public, acceptor, limits, fronts, data)
    return doors
