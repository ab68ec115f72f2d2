"""A fleet of light devices in one event loop: MQTT 3.1.1 over mutual TLS, a leaf certificate each, one subscription.

TLS is driven by hand over memory buffers, since asyncio's own keeps a quarter of a mebibyte for each connection. What a
device is sent is read as far as it must be: CONNACK, SUBACK, PUBACK and messages.
"""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from troth.authority.bulk import Issuance
from troth.authority.door import Door
from troth.authority.issue import Wanted
from troth.authority.settle import settle_all
from troth.clock import Clock
from troth.journal.change import change
from troth.keys.file import generate, render_key
from troth.keys.requests import build_request
from troth.protocols.mqtt import Connect, Disconnect, Subscribe, Subscription, build_publish, render
from troth.registry.certificates import CertificateRow
from troth.registry.policies import attach_policy
from troth.registry.things import create_thing
from troth.store.connect import Database
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import parse_request

ACTOR: Final = "operator:fleet"
KEEP_ALIVE_S: Final = 1200
JOIN_S: Final = 60.0
"""Longest wait for a connection to stand: the whole fleet may come at once."""
_AT_ONCE: Final = 64
"""Handshakes under way at once, so that they are measured and not their queue."""
_THINGS_PER_CHANGE: Final = 500
_READ_BYTES: Final = 4096
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
LOST: Final = -1
"""Instead of a CONNACK code: there was none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A thing's name, its certificate's id, and the client's side of TLS with it."""

    name: str
    certificate_id: str
    context: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Office:
    """What it takes to certify devices in this process."""

    db: Database
    clock: Clock
    door: Door
    public_url: str
    root: bytes
    """What devices trust, in PEM."""


def certify(office: Office, folder: Path, names: Sequence[str], policy: str) -> list[Identity]:
    """Return identities for new things that have this policy, certified in batches; a file is in `folder` meanwhile."""
    db, clock = office.db, office.clock
    for at in range(0, len(names), _THINGS_PER_CHANGE):
        with change(db, clock, ACTOR) as changing:
            for name in names[at : at + _THINGS_PER_CHANGE]:
                create_thing(changing, name)
                attach_policy(changing, policy, thing=name)
    keys = {name: generate(KeyAlgorithm.P256) for name in names}
    wanted = (
        Wanted("device", parse_request(build_request(keys[name], name)), "bench", {}, thing=name) for name in names
    )
    issuance = Issuance(db, clock, ACTOR, office.public_url, lambda: settle_all(db, clock, office.door), 60)

    async def issued() -> AsyncIterator[CertificateRow]:
        async for answers in issuance.answers(wanted):
            for answer in answers:
                if not isinstance(answer.outcome, CertificateRow):
                    raise answer.outcome
                yield answer.outcome

    async def identities() -> list[Identity]:
        file = folder / "identity.pem"
        made = []
        async for row in issued():
            assert row.thing is not None
            pem = ssl.DER_cert_to_PEM_cert(row.der).encode() + render_key(keys[row.thing], None)
            file.write_bytes(pem)
            made.append(Identity(row.thing, row.certificate_id, _context(office.root, file)))
        file.unlink(missing_ok=True)
        return made

    return asyncio.run(identities())


def _context(root: bytes, file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=root.decode())
    context.load_cert_chain(file)
    return context


def raise_open_files() -> None:
    """Let this process have as many connections as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Member(asyncio.Protocol):
    """One device, connected or not; it may join again after it was lost."""

    def __init__(self, identity: Identity, server_name: str, number: int = 0) -> None:
        """`number` says where on the loopback it comes from."""
        self.identity = identity
        self.received: list[bytes] = []
        self.lost_at: float | None = None
        """The loop's time when its connection closed; None while it has one or never had."""
        self.on_lost: Callable[[Member], None] = lambda _: None
        self._server_name = server_name
        self._source = (f"127.2.{number // 250 % 250}.{number % 250 + 1}", 0)
        self._transport: asyncio.Transport | None = None
        self._is_in = False
        self._acknowledged: dict[int, asyncio.Future[None]] = {}

    @property
    def topic(self) -> str:
        """What it has subscribed to."""
        return f"fleet/{self.identity.name}/in"

    @property
    def is_live(self) -> bool:
        """Whether it has been let in, and has not been lost since."""
        return self._transport is not None and self._is_in

    async def join(self, port: int) -> int:
        """Connect and subscribe at QoS 1. Returns the CONNACK code, or `LOST`."""
        loop = asyncio.get_running_loop()
        self._joined: asyncio.Future[int] = loop.create_future()
        self.lost_at = None
        self._is_in = False
        try:
            async with asyncio.timeout(JOIN_S):
                await loop.create_connection(lambda: self, "127.0.0.1", port, local_addr=self._source)
                return await self._joined
        except (OSError, TimeoutError):
            self.leave()
            return LOST

    async def publish(self, topic: str, payload: bytes, packet_id: int) -> None:
        """Publish at QoS 1 and wait until that is acknowledged. Raises `ConnectionError`."""
        if not self.is_live:
            raise ConnectionError
        self._acknowledged[packet_id] = asyncio.get_running_loop().create_future()
        self._write(build_publish(topic, payload, qos=1, packet_id=packet_id).raw)
        await self._acknowledged[packet_id]

    def leave(self) -> None:
        """Go."""
        if self._transport is not None:
            with suppress(ssl.SSLError):
                self._write(render(Disconnect()))
            self._transport.abort()

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self.identity.context.wrap_bio(self._in, self._out, server_hostname=self._server_name)
        self._is_proven = False
        self._plain = b""
        self._advance()

    def data_received(self, data: bytes) -> None:
        self._in.write(data)
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        was_live = self.is_live
        self._transport = None
        self.lost_at = asyncio.get_running_loop().time()
        if not self._joined.done():
            self._joined.set_result(LOST)
        for future in self._acknowledged.values():
            if not future.done():
                future.set_exception(ConnectionError())
                future.exception()
        self._acknowledged.clear()
        if was_live:
            self.on_lost(self)

    def _advance(self) -> None:
        assert self._transport is not None
        try:
            if not self._is_proven:
                self._tls.do_handshake()
                self._is_proven = True
                self._tls.write(render(Connect(self.identity.name, keep_alive_s=KEEP_ALIVE_S)))
            while data := self._tls.read(_READ_BYTES):
                self._plain += data
            self._transport.abort()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._transport.abort()
        self._take_packets()
        self._flush()

    def _write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def _flush(self) -> None:
        if self._out.pending and self._transport is not None:
            self._transport.write(self._out.read())

    def _take_packets(self) -> None:
        while len(self._plain) >= 2:
            length, at, shift = 0, 1, 0
            while at < len(self._plain):
                byte = self._plain[at]
                length, at, shift = length | (byte & 0x7F) << shift, at + 1, shift + 7
                if byte < 0x80:
                    break
            else:
                return
            if len(self._plain) < at + length:
                return
            first, body = self._plain[0], self._plain[at : at + length]
            self._plain = self._plain[at + length :]
            self._take(first, body)

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == _CONNACK:
            if body[1] == 0:
                self._tls.write(render(Subscribe(1, (Subscription(self.topic, 1),))))
            elif not self._joined.done():
                self._joined.set_result(body[1])
        elif kind == _SUBACK and not self._joined.done():
            self._is_in = body[2] == 1
            self._joined.set_result(0 if self._is_in else body[2])
        elif kind == _PUBACK:
            future = self._acknowledged.pop(int.from_bytes(body[:2]), None)
            if future is not None and not future.done():
                future.set_result(None)
        elif kind == _PUBLISH:
            named = 2 + int.from_bytes(body[:2])
            if first & 0x06:
                self._tls.write(b"\x40\x02" + body[named : named + 2])
                named += 2
            self.received.append(body[named:])


async def join_all(members: Iterable[Member], port: int) -> list[int]:
    """Have all of them join, so many at once. Returns what each was told."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(member: Member) -> int:
        async with gate:
            return await member.join(port)

    return list(await asyncio.gather(*(one(each) for each in members)))
