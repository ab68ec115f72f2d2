"""A TLS connection as an `asyncio.Protocol`: handshake, decryption, goodbye, around a protocol that sees plaintext.

pyOpenSSL over memory buffers, because with a loop's own TLS a failed handshake reaches no callback and the peer is
shown a bare end of stream instead of its alert. RFC 8446 (6.1 for the goodbye), RFC 5246. Knows nothing of what the
bytes mean.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, cast

from OpenSSL import SSL

from troth.errors import PeerFault
from troth.limits import TLS_HANDSHAKE_BYTES_MAX
from troth.tls.context import ServerTLS
from troth.tls.engine import Engine
from troth.tls.lingering import Lingering
from troth.tls.peer import Address, HandshakeObserver, PeerTLS, address_of, proven
from troth.tls.pending import PendingHandshakes
from troth.tls.reading import FEED_BYTES_MAX, Reader
from troth.tls.reasons import HandshakeFailure, Verdict, failure_of
from troth.tls.transport import TLSTransport

_HANDSHAKE_RECORD: Final = 22


class _State(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    SPEAKING = auto()
    """The peer has said goodbye and the inner protocol has still something to say."""
    LINGERING = auto()
    """We have said all; what comes is thrown away until the peer is gone too."""
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Acceptor:
    """What makes TLS connections of the TCP connections that one door accepts."""

    tls: ServerTLS
    observer: HandshakeObserver
    pending: PendingHandshakes

    def protocol(self, make_inner: Callable[[], asyncio.Protocol]) -> "TLSProtocol":
        """Return the protocol of one accepted connection, for `loop.create_server`.

        `make_inner` is called when the handshake has succeeded, and the connection of what it returns is made then.
        """
        return TLSProtocol(self, make_inner)


class TLSProtocol(asyncio.Protocol):
    """One accepted connection.

    The inner protocol sees a `TLSTransport` and plaintext, and nothing before the peer is proven. Its
    `connection_lost` gets None after a goodbye, and a `ConnectionAbortedError` when the stream was cut or broken.
    """

    __slots__ = (
        "_acceptor",
        "_address",
        "_connection",
        "_engine",
        "_fault",
        "_inner",
        "_lingering",
        "_make_inner",
        "_outer",
        "_reader",
        "_received",
        "_state",
        "_timer",
        "_transport",
    )

    _outer: asyncio.Transport
    _connection: SSL.Connection
    _engine: Engine
    _reader: Reader

    def __init__(self, acceptor: Acceptor, make_inner: Callable[[], asyncio.Protocol]) -> None:
        self._acceptor = acceptor
        self._make_inner = make_inner
        self._state = _State.HANDSHAKE
        self._address: Address | None = None
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._inner: asyncio.Protocol | None = None
        self._transport: TLSTransport | None = None
        self._fault: Exception | None = None
        self._lingering: Lingering | None = None

    # What the outer transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake, or refuse at once when too many are under way."""
        self._outer = cast("asyncio.Transport", transport)
        self._address = address_of(transport.get_extra_info("peername"))
        loop = asyncio.get_running_loop()
        host = self._address[0] if self._address is not None else None
        no_place = self._acceptor.pending.enter(self, host, loop.time())
        if no_place is not None:
            self._told(no_place, "refused at accept")
            self.abort()
            return
        tls = self._acceptor.tls
        self._connection = tls.connection()
        self._engine = tls.engine
        self._reader = Reader(self._connection, tls.engine)
        self._timer = loop.call_later(tls.handshake_s, self._out_of_time)

    def data_received(self, data: bytes) -> None:
        """Take what the peer sent."""
        if self._state is _State.OPEN:
            self._deliver(self._reader.read(data))
        elif self._state is _State.HANDSHAKE:
            self._shake_hands(data)
        elif self._lingering is not None:
            self._lingering.received(len(data))

    def eof_received(self) -> bool:
        """Take the end of the peer's stream; True keeps our own direction open."""
        if self._state is _State.HANDSHAKE:
            self._told(HandshakeFailure.PEER_CLOSED, f"after {self._received} bytes")
        elif self._state is _State.OPEN:
            # Without a close_notify anyone on the path may have cut the stream here.
            self._fault = ConnectionAbortedError("the peer closed without a close_notify")
        return self._state is _State.SPEAKING

    def pause_writing(self) -> None:
        """Pass on that the peer is slow."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the peer has caught up."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; the connection is gone."""
        self._stop_timer()
        if self._lingering is not None:
            self._lingering.over()
        self._acceptor.pending.leave(self)
        if self._state is _State.HANDSHAKE:
            self._told(HandshakeFailure.PEER_CLOSED, str(exc or f"after {self._received} bytes"))
        self._state = _State.CLOSED
        # Taken apart, so that the memory of OpenSSL does not wait for the garbage collector.
        inner, self._inner = self._inner, None
        transport, self._transport = self._transport, None
        if inner is not None and transport is not None:
            transport.ended()
            inner.connection_lost(self._fault or exc)

    # The handshake.

    def _shake_hands(self, data: bytes) -> None:
        if not self._received and data[0] != _HANDSHAKE_RECORD:
            self._refuse(HandshakeFailure.NOT_TLS, f"it begins with {data[:8]!r}")
            return
        for at in range(0, len(data), FEED_BYTES_MAX):
            if self._state is not _State.HANDSHAKE:
                self.data_received(data[at:])
                return
            self._take_handshake(data[at : at + FEED_BYTES_MAX])

    def _take_handshake(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._reader.feed(data)
            done = self._engine.shake_hands(self._connection)
        except SSL.Error as error:
            verdict = self._connection.get_app_data()
            self._refuse(*failure_of(error, verdict if isinstance(verdict, Verdict) else None))
            return
        if done:
            self._finish_handshake()
            return
        self._flush()
        if self._received > TLS_HANDSHAKE_BYTES_MAX:
            self._refuse(HandshakeFailure.OTHER, f"a handshake of more than {TLS_HANDSHAKE_BYTES_MAX} bytes")

    def _finish_handshake(self) -> None:
        try:
            peer = proven(self._connection, self._engine)
        except PeerFault as error:
            # OpenSSL could read the certificate and we cannot: deny.
            self._refuse(HandshakeFailure.OTHER, f"{error}: {error.detail}")
            return
        self._stop_timer()
        self._acceptor.pending.leave(self)
        if peer.version != "TLSv1.3":
            self._flush()
        # Under TLS 1.3 only session numbers are left to send, which nobody waits for: they go with the first answer.
        self._state = _State.OPEN
        self._open(peer)

    def _open(self, peer: PeerTLS) -> None:
        self._acceptor.observer.on_success(peer, self._address)
        self._transport = TLSTransport(self, self._outer, self._connection, self._engine, peer)
        self._inner = self._make_inner()
        self._inner.connection_made(self._transport)
        if self._state is _State.OPEN:
            # What the peer sent right behind its last handshake message.
            self._deliver(self._reader.rest())
        if self._state is _State.OPEN:
            self._engine.renew_buffers(self._connection)

    def _out_of_time(self) -> None:
        self._told(HandshakeFailure.TIMEOUT, f"after {self._received} bytes")
        self.abort()

    def _refuse(self, reason: HandshakeFailure, detail: str) -> None:
        """End a handshake that failed, with the alert that OpenSSL has ready for the peer."""
        self._told(reason, detail)
        self._flush()
        self._linger()

    def _told(self, reason: HandshakeFailure, detail: str) -> None:
        """Tell the observer, once: the state is no longer that of a handshake."""
        self._state = _State.CLOSED
        self._acceptor.observer.on_failure(self._address, reason, detail)

    # Reading.

    def _deliver(self, plaintext: bytes) -> None:
        if plaintext and self._inner is not None:
            self._inner.data_received(plaintext)
        remark = self._reader.remark
        if remark is not None and self._state is _State.OPEN:
            self._heed(remark)

    def _heed(self, remark: SSL.Error) -> None:
        match remark:
            case SSL.WantReadError():
                self._flush()
            case SSL.ZeroReturnError():
                self._state = _State.SPEAKING
                stays = self._inner is not None and self._inner.eof_received()
                if not stays and self._transport is not None:
                    self._transport.close()
            case _:
                self.fail(remark)

    # What the inner transport asks for, and how it ends.

    def close(self) -> None:
        """Send a close_notify after what is written, and go when the peer has gone."""
        if self._state in (_State.OPEN, _State.SPEAKING):
            try:
                self._connection.shutdown()
            except SSL.Error as error:
                self._fault = self._fault or _broken(error)
            self._flush()
            self._linger()

    def abort(self) -> None:
        """Go now. A handshake under way is counted as ended by us."""
        if self._state is _State.HANDSHAKE:
            self._told(HandshakeFailure.OTHER, "ended by us")
        self._state = _State.CLOSED
        self._outer.abort()

    def fail(self, error: Exception) -> None:
        """Go because OpenSSL found the stream broken, with the alert that it has ready."""
        if self._transport is not None:
            self._transport.ended()
        # After a broken record writing fails too, without a word why: the first error is the cause.
        first = self._reader.remark
        self._fault = _broken(error if first is None or isinstance(first, SSL.WantReadError) else first)
        self._flush()
        self._linger()

    def _flush(self) -> None:
        if records := self._engine.drain(self._connection):
            self._outer.write(records)

    def _linger(self) -> None:
        self._state = _State.LINGERING
        self._stop_timer()
        self._lingering = Lingering(self._outer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _broken(error: Exception) -> ConnectionAbortedError:
    return ConnectionAbortedError("TLS: " + failure_of(error, None)[1])
