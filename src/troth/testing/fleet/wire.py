"""The wire between one device and the home, in memory: a `troth.device.network.Network` that loses what it is told to.

Whatever passes is looked at for private keys. A request may be lost, or its answer; a home may die over either.
"""

import asyncio
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from troth.clock import Clock
from troth.device.connection import ConnectionFault, Credential
from troth.device.endpoint import Address
from troth.device.identity import Identity
from troth.device.network import Streams
from troth.device.trusted_time import TrustedTime
from troth.errors import Fault, Kind
from troth.gateway.grants import Peer
from troth.protocols.roughtime.servers import TimeServer
from troth.testing.fleet.handshake import Alert, Shown, meet_client, meet_server, shown_by
from troth.testing.fleet.home import Home, HomeDown
from troth.testing.fleet.http import Exchange
from troth.testing.fleet.session import Line, Session
from troth.testing.fleet.watcher import digest_of
from troth.tls import client as tls
from troth.tls.client import Refusal
from troth.tls.server import PeerTLS


class Place(Protocol):
    """Where wires end."""

    @property
    def home(self) -> Home | None:
        """The home, while there is one."""
        ...

    def tell_time(self, question: bytes) -> bytes:
        """Answer a question for the time."""
        ...

    def exchanged(self, caller: str, exchange: Exchange, answer: bytes) -> None:
        """Hear of what the home has answered to whom."""
        ...

    def begin(self, session: Session) -> None:
        """Hear of a new MQTT session."""
        ...

    def passed(self, name: str, content: bytes) -> None:
        """Look at what passes."""
        ...


@dataclass
class Wire:
    """One device's way out."""

    place: Place
    name: str
    host: str
    random: Random
    clock: Clock
    """The device's own, which may be wrong."""
    loss: float = 0.0
    """How likely it is that a datagram, a request or an answer is lost."""
    is_up: bool = True
    """Whether the device has power and the line is there."""

    def dial(
        self,
        address: Address,
        server_name: str,
        roots: Sequence[x509.Certificate],
        own: Credential | None = None,
        *,
        checks_time: bool = True,
        judge: Clock | None = None,
    ) -> tls.Connection:
        """Connect to the HTTPS door. See `Network.dial`."""
        home = self._reach(address)
        self._meet(address, server_name, roots, home, judge, checks_time=checks_time)
        shown = shown_by(own) if own is not None else None
        return cast("tls.Connection", _HTTPSocket(self, home, shown))

    async def open_streams(self, identity: Identity) -> Streams:
        """Connect to the MQTT door. See `Network.open_streams`."""
        address = identity.endpoint.mqtt
        home = self._reach(address)
        judge = self.judge_of(identity.time_servers)
        self._meet(address, identity.endpoint.name_of(address), identity.trust, home, judge, checks_time=True)
        shown = shown_by(identity.slot)
        reader = asyncio.StreamReader()
        line = Line(reader, self.is_lost)
        try:
            proven = meet_client(shown, home.issuers.devices, home.clock.now(), None)
        except Alert as alert:
            # Under TLS 1.3 the device learns of it with its first read.
            line.fail(alert)
        else:
            session = Session(home, line, self.peer_of(proven), self.name, digest_of(shown.key))
            self.place.begin(session)
            line.on_data = session.receive
        line.on_pass = lambda content: self.place.passed(self.name, content)
        return reader, cast("asyncio.StreamWriter", line)

    def judge_of(self, servers: Sequence[TimeServer]) -> Clock | None:
        """See `Network.judge_of`."""
        return TrustedTime(servers, exchange=self._ask_time) if servers else None

    def is_lost(self) -> bool:
        """Say whether what is on its way now gets lost."""
        return not self.is_up or self.random.random() < self.loss

    def peer_of(self, proven: PeerTLS) -> Peer:
        """Return the far end as the home sees it."""
        return Peer(proven.certificate_id or "", self.host, 40_000, None, "1.3")

    def _ask_time(self, server: TimeServer, question: bytes) -> Iterator[bytes]:
        if not self.is_lost():
            answer = self.place.tell_time(question)
            if not self.is_lost():
                yield answer

    def _reach(self, address: Address) -> Home:
        home = self.place.home
        if home is None or not self.is_up:
            raise ConnectionFault(address, Refusal("unreachable", "there is nobody"))
        return home

    def _meet(
        self,
        address: Address,
        server_name: str,
        roots: Sequence[x509.Certificate],
        home: Home,
        judge: Clock | None,
        *,
        checks_time: bool,
    ) -> None:
        own_time = self.clock.now() if checks_time else None
        at = judge.now() if judge is not None else own_time
        try:
            meet_server(address, server_name, roots, home.estate.shown, at)
        except ConnectionFault as fault:
            if judge is None or fault.kind is not Kind.EXPIRED:
                raise
            raise Fault(Kind.EXPIRED, "a certificate of the home is not valid at the time that is told") from fault


class _HTTPSocket:
    """What `http.client` takes for a socket; the home is asked when the answer is first looked for."""

    def __init__(self, wire: Wire, home: Home, shown: Shown | None) -> None:
        self._wire, self._home, self._shown = wire, home, shown
        self._sent = bytearray()

    def sendall(self, data: bytes) -> None:
        self._sent += data

    def makefile(self, mode: str) -> io.BytesIO:
        wire, home = self._wire, self._home
        request = bytes(self._sent)
        wire.place.passed(wire.name, request)
        proven = meet_client(self._shown, home.issuers.devices, home.clock.now(), home.grace)
        if wire.is_lost():
            raise TimeoutError("the request is lost")
        exchange = Exchange(request, wire.peer_of(proven), proven)
        try:
            answer = home.exchange(exchange)
        except HomeDown:
            raise ConnectionResetError("the home has died") from None
        wire.place.exchanged(wire.name, exchange, answer)
        wire.place.passed(wire.name, answer)
        if wire.is_lost():
            raise ConnectionResetError("the answer is lost")
        return io.BytesIO(answer)

    def getpeercert(self, *, binary_form: bool) -> bytes:
        return self._home.estate.shown[0].public_bytes(Encoding.DER)

    def close(self) -> None:
        pass
