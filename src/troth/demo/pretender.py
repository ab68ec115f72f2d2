"""A server that claims to be the home: real TLS, and behind it an MQTT that takes anybody in and keeps what it gets.

It asks for no certificate: whoever wants the readings of others is not particular about whom they come from.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from troth.demo.cases import LET_IN
from troth.device.endpoint import Address as ServerAddress
from troth.device.slots import Slot
from troth.errors import Fault, Kind, PeerFault
from troth.keys.file import read_key
from troth.limits import DEFAULT
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Puback, Publish, Reader, Role, render
from troth.tls.server import (
    Acceptor,
    Address,
    ClientAuth,
    HandshakeFailure,
    PeerTLS,
    PendingHandshakes,
    ServerIdentity,
    ServerTLS,
)
from troth.x509.certificates import parse_chain

START_S: Final = 10.0
HANDSHAKES_MAX: Final = 10


class Pretender:
    """The server with the certificate in `own`, on a free port for the length of a ``with`` block."""

    def __init__(self, own: Slot) -> None:
        identity = ServerIdentity(parse_chain(own.chain_file.read_bytes()), read_key(own.key_file, None).servable_key)
        self._tls = ServerTLS(identity, (), ClientAuth.NONE)
        self._handshakes: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._readings: list[bytes] = []
        self._thread = threading.Thread(target=self._work, name="pretender", daemon=True)
        self._started = threading.Event()

    @property
    def address(self) -> ServerAddress:
        """Where it listens."""
        return ServerAddress("127.0.0.1", self._port)

    def handshake(self, patience_s: float) -> tuple[str, str]:
        """Return how the next handshake ended here, in a word, and the visitor's ``host:port``. Raises `Fault`."""
        try:
            return self._handshakes.get(timeout=patience_s)
        except queue.Empty:
            raise Fault(Kind.UNAVAILABLE, "nobody shook hands with the fake home") from None

    def got(self, nonce: str) -> bool:
        """Tell whether a message with `nonce` in it has come."""
        return any(nonce.encode() in reading for reading in self._readings)

    def on_success(self, peer: PeerTLS, address: Address | None) -> None:
        """Take note of somebody who believed us."""
        self._handshakes.put((LET_IN, _shown(address)))

    def on_failure(self, address: Address | None, reason: HandshakeFailure, detail: str) -> None:
        """Take note of somebody who did not."""
        word = f"alert:{detail}" if reason is HandshakeFailure.PEER_ALERT else f"{reason}: {detail}"
        self._handshakes.put((word, _shown(address)))

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(START_S):
            raise Fault(Kind.UNAVAILABLE, "the fake home did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)

    def _work(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        pending = PendingHandshakes(HANDSHAKES_MAX)
        acceptor = Acceptor(self._tls, self, pending)
        server = await self._loop.create_server(
            lambda: acceptor.protocol(lambda: _Conversation(self._readings.append)), "127.0.0.1", 0
        )
        self._port = int(server.sockets[0].getsockname()[1])
        self._started.set()
        await self._stop.wait()
        server.close()
        pending.abort_all()


class _Conversation(asyncio.Protocol):
    """MQTT with one believer: yes to everything."""

    _transport: asyncio.Transport

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._reader = Reader(DEFAULT.packet_bytes, Role.SERVER)
        self._keep = keep

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        with suppress(PeerFault):
            for packet in self._reader.feed(data):
                match packet:
                    case Connect():
                        self._transport.write(render(Connack(ConnackCode.ACCEPTED)))
                    case Publish():
                        self._keep(packet.payload)
                        if packet.qos:
                            self._transport.write(render(Puback(packet.packet_id)))
                    case _:
                        self._transport.close()


def _shown(address: Address | None) -> str:
    return f"{address[0]}:{address[1]}" if address else "unknown"
