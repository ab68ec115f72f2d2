"""A blocking MQTT 3.1.1 client over mutual TLS: one connection, one caller at a time, QoS 0 and 1.

`connect` takes an identity; a `Client` can be made over any TLS socket. Bytes are the business of
`troth.protocols.mqtt`. Source: OASIS MQTT 3.1.1.
"""

import socket
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

from troth.clock import Clock
from troth.device.connack import Refused
from troth.device.connection import ConnectionFault, dial
from troth.device.endpoint import Address
from troth.device.identity import Identity
from troth.device.trusted_time import judge_of
from troth.device.waiting import Wait
from troth.errors import Fault, Kind, OurFault, PeerFault
from troth.limits import DEFAULT, DEVICE_INBOX_MESSAGES_MAX, DEVICE_LINGER_S_MAX, DEVICE_STEP_S_MAX
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Reader,
    Role,
    StreamFault,
    Suback,
    Subscribe,
    Subscription,
    Will,
    build_publish,
    render,
)
from troth.tls import client as tls

KEEP_ALIVE_S: Final = 60
_READ_BYTES: Final = 16 * 1024
_READ_S_MIN: Final = 0.001
_PACKET_IDS: Final = 0xFFFF
_Answer = TypeVar("_Answer", Connack, Puback, Suback, Pingresp)


class Client:
    """One connection. Made by `connect`, or over a TLS socket whose handshake is done, and then opened with `open`.

    Every method may raise `ConnectionFault` (the server ended the connection, by an alert or without), `Fault`
    (unavailable: no answer in time) and `PeerFault` (what came is no MQTT); the connection is then closed.
    """

    def __init__(self, connection: socket.socket, clock: Clock, *, address: Address | None = None) -> None:
        """`address` is what messages say of where the server is."""
        self._connection = connection
        self._clock = clock
        self._address = address
        self._local = connection.getsockname()[:2]
        self._reader = Reader(DEFAULT.packet_bytes, Role.CLIENT)
        self._packets: deque[Packet] = deque()
        self._broken: StreamFault | None = None
        self._inbox: deque[Publish] = deque()
        self._packet_id = 0
        self._keep_alive_s = 0
        self._quiet = Wait(clock, None)
        self._silent_s = 0.0
        self._pings = 0
        self._is_open = True

    @property
    def local_address(self) -> tuple[str, int]:
        """Our own host and port, which the server sees unless there is a translator between; also once closed."""
        host, port = self._local
        return str(host), int(port)

    def open(self, request: Connect) -> bool:
        """Send CONNECT and return whether the server kept a session of ours. Raises `Refused` besides."""
        self._send(request)
        answer = self._answer(Connack, 0)
        if answer.code is not ConnackCode.ACCEPTED:
            raise self._end(Refused(ConnackCode(answer.code)))
        self._keep_alive_s = request.keep_alive_s
        self._rest()
        return answer.session_present

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send a message; at QoS 1 return when the server has taken it over.

        At QoS 0 nobody says whether it was let through: a `ping` that is answered says that the connection was not
        ended for it. Raises `OurFault` for a topic that is none, and for QoS 2.
        """
        if qos not in {0, 1}:
            raise OurFault(Kind.UNSUPPORTED, "this client sends with QoS 0 or 1")
        packet_id = self._next_packet_id() if qos else 0
        self._send(build_publish(topic, payload, qos=qos, retain=retain, packet_id=packet_id))
        if qos:
            self._answer(Puback, packet_id)

    def subscribe(self, filters: Sequence[str], *, qos: int = 1) -> tuple[int, ...]:
        """Ask for messages and return a code for each filter: the QoS granted, or `SUBSCRIPTION_REFUSED`."""
        if qos not in {0, 1}:
            raise OurFault(Kind.UNSUPPORTED, "this client receives with QoS 0 or 1")
        packet_id = self._next_packet_id()
        self._send(Subscribe(packet_id, tuple(Subscription(each, qos) for each in filters)))
        codes = self._answer(Suback, packet_id).codes
        if len(codes) != len(filters):
            raise self._end(PeerFault(Kind.MALFORMED, "the server did not answer filter by filter"))
        return codes

    def receive(self, timeout_s: float | None = None) -> Publish | None:
        """Return the next message, acknowledged; None when none came within `timeout_s` (None: wait for ever).

        The connection is kept alive meanwhile, and given up when the server says nothing for a whole keep-alive.
        """
        wait = Wait(self._clock, timeout_s)
        while not self._inbox:
            packet = self._next(wait)
            if packet is None:
                return None
            self._put_by(packet)
        message = self._inbox.popleft()
        if message.qos:
            self._send(Puback(message.packet_id))
        return message

    def ping(self) -> None:
        """Return when the server has answered a PINGREQ, and so has dealt with all that was sent before it."""
        self._ping()
        while self._pings:
            self._answer(Pingresp, 0)
            self._pings -= 1

    def disconnect(self) -> None:
        """Take our leave, so that no will is sent, and close. Does nothing when the connection is closed."""
        if not self._is_open:
            return
        try:
            self._send(Disconnect())
            wait = Wait(self._clock, DEVICE_LINGER_S_MAX)
            # The server closes first; closing over unread messages would reset the connection under our farewell.
            while not wait.is_over:
                self._read(wait)
                self._packets.clear()
        except Fault:
            pass  # it has closed, or cannot be reached any more: what we wanted
        finally:
            self.close()

    def close(self) -> None:
        """Close without a word: the server sends the will."""
        self._is_open = False
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take our leave; with an error on the way only close, so that the server sends the will."""
        if error is None:
            self.disconnect()
        else:
            self.close()

    def _answer(self, kind: type[_Answer], packet_id: int) -> _Answer:
        """Return the answer of this kind to the packet `packet_id` (0: such answers name none)."""
        wait = Wait(self._clock, DEVICE_STEP_S_MAX)
        while (packet := self._next(wait)) is not None:
            if isinstance(packet, kind) and getattr(packet, "packet_id", 0) == packet_id:
                return packet
            self._put_by(packet)
        raise self._end(
            Fault(Kind.UNAVAILABLE, f"the server sent no {kind.__name__.upper()} within {DEVICE_STEP_S_MAX:.0f} s")
        )

    def _put_by(self, packet: Packet) -> None:
        """Keep what came and is not what was waited for."""
        match packet:
            case Publish() if packet.qos == 2:
                raise self._end(PeerFault(Kind.UNSUPPORTED, "the server sent a message of QoS 2, which none asked for"))
            case Publish() if len(self._inbox) < DEVICE_INBOX_MESSAGES_MAX:
                self._inbox.append(packet)
            case Publish():
                raise self._end(
                    Fault(Kind.TOO_LARGE, f"more than {DEVICE_INBOX_MESSAGES_MAX} messages wait to be taken")
                )
            case Pingresp():
                self._pings = max(0, self._pings - 1)
            case _:
                raise self._end(
                    PeerFault(Kind.MALFORMED, f"the server sent {type(packet).__name__.upper()} out of turn")
                )

    def _next(self, wait: Wait) -> Packet | None:
        """Return the next packet of the server, or None when the wait is over; keep the connection alive meanwhile."""
        while not self._packets:
            self._keep_alive()
            self._read(wait)
            if not self._packets and wait.is_over:
                return None
        return self._packets.popleft()

    def _keep_alive(self) -> None:
        if not self._keep_alive_s:
            return
        if self._silent_s >= self._keep_alive_s:
            raise self._end(ConnectionFault(self._address, tls.Refusal("timeout", "no byte for a whole keep-alive")))
        if self._quiet.is_over:
            self._ping()

    def _ping(self) -> None:
        self._send(Pingreq())
        self._pings += 1

    def _read(self, wait: Wait) -> None:
        """Take what the server sends next, if it comes before the wait is over and before a ping is due."""
        if self._broken is not None:
            raise self._end(self._broken)
        limits_s = [each for each in (wait.left_s(), self._quiet.left_s()) if each is not None]
        slice_s = max(_READ_S_MIN, min(limits_s)) if limits_s else None
        try:
            self._connection.settimeout(slice_s)
            data = self._connection.recv(_READ_BYTES)
        except TimeoutError:
            if slice_s is not None:
                wait.passed(slice_s)
                self._quiet.passed(slice_s)
                self._silent_s += slice_s
            return
        except OSError as error:
            raise self._end(ConnectionFault(self._address, tls.refusal(error))) from error
        if not data:
            raise self._end(ConnectionFault(self._address, tls.Refusal("closed", "end of the stream")))
        self._silent_s = 0.0
        try:
            self._packets.extend(self._reader.feed(data))
        except StreamFault as fault:
            # What came whole before it is handed out first.
            self._packets.extend(fault.before)
            self._broken = fault

    def _send(self, packet: Packet) -> None:
        data = render(packet)
        if not self._is_open:
            raise OurFault(Kind.CONFLICT, "the connection is closed")
        try:
            self._connection.settimeout(DEVICE_STEP_S_MAX)
            self._connection.sendall(data)
        except OSError as error:
            raise self._end(ConnectionFault(self._address, tls.last_words(self._connection, error))) from error
        self._rest()

    def _rest(self) -> None:
        """Begin the time in which nothing need be sent."""
        self._quiet = Wait(self._clock, self._keep_alive_s / 2 or None)

    def _end(self, fault: Fault) -> Fault:
        self.close()
        return fault

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % _PACKET_IDS + 1
        return self._packet_id


def connect(
    identity: Identity,
    clock: Clock,
    *,
    client_id: str | None = None,
    clean_session: bool = True,
    will: Will | None = None,
    keep_alive_s: int = KEEP_ALIVE_S,
) -> Client:
    """Return an open connection to the identity's gateway, under its thing's name unless `client_id` is given.

    Raises `ConnectionFault` (the gateway cannot be reached or is not the home's; or it refused our certificate),
    `Refused`, and `Fault` as each method of `Client`.
    """
    address = identity.endpoint.mqtt
    judge = judge_of(identity.time_servers)
    connection = dial(address, identity.endpoint.name_of(address), identity.trust, identity.slot, judge=judge)
    client = Client(connection, clock, address=address)
    try:
        client.open(Connect(client_id or identity.thing, clean_session, keep_alive_s, will))
    except BaseException:
        client.close()
        raise
    return client
