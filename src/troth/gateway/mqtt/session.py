"""One device's connection, from the end of its handshake to its close: `states` is its life, `exchange` its talk.

The first packet is read, bounded in size and time, before anybody hears of the device; only who is admitted is
connected to the broker.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import cast

import structlog

from troth.errors import Fault, Kind
from troth.gateway.admission import Admitted, remembered
from troth.gateway.first_connections import stranger_of
from troth.gateway.grants import Peer
from troth.gateway.mqtt.conversation import DISCONNECT
from troth.gateway.mqtt.exchange import Exchange
from troth.gateway.mqtt.gate import Gate
from troth.gateway.mqtt.names import ASSIGNED
from troth.gateway.mqtt.provisioning import Counter
from troth.gateway.mqtt.relay import Ending, Relay, honoured_keep_alive_s
from troth.gateway.mqtt.states import State, entered
from troth.gateway.mqtt.upstream import Link
from troth.gateway.principals import Known
from troth.gateway.refusal import THEIRS, Reason, Refusal, breach
from troth.gateway.report import Denials, Who
from troth.keys.randomness import random_id
from troth.limits import UPSTREAM_WAIT_S_MAX
from troth.policy.actions import Action, request_resource
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Packet, Reader, Role, StreamFault, connack_code, render
from troth.tls.server import PeerTLS

log = structlog.get_logger()


class Session(asyncio.Protocol):
    """What the TLS connection of a door gives plaintext to."""

    _admitted: Admitted
    _connect: Connect
    _counter: Counter
    _denials: Denials
    _exchange: Exchange
    _link: Link
    _not_after: datetime
    _peer: Peer
    _relay: Relay
    _transport: asyncio.Transport

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._state = State.AWAITING_CONNECT
        self._reader = Reader(gate.terms.limits.packet_bytes, Role.SERVER)
        self._early: list[Packet] = []
        self._early_bytes = 0
        self._opening: asyncio.Task[None] | None = None
        self._deadline_s = self._loop.time() + gate.terms.limits.connect_s

    @property
    def certificate_id(self) -> str:
        """Whose connection it is."""
        return self._peer.certificate_id

    @property
    def who(self) -> Who:
        """All that is known of it by now."""
        return self._denials.who

    # The device's end.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who it is; nothing is done for anybody yet."""
        self._transport = cast("asyncio.Transport", transport)
        tls: PeerTLS = transport.get_extra_info("tls")
        assert tls.certificate_id is not None, "the door lets nobody in without one"
        host, port = transport.get_extra_info("peername")[:2]
        self._stranger = stranger_of(tls, host)
        self._peer = Peer(tls.certificate_id, host, port, tls.server_name, tls.version.removeprefix("TLSv"))
        self._denials = Denials(self._gate.report, Who(random_id(), self._peer.address, self._peer.certificate_id))
        self._transport.set_write_buffer_limits(high=self._gate.terms.limits.write_queue_bytes_max)
        self._gate.roster.enter(self)

    def data_received(self, data: bytes) -> None:
        """Take what the device sent."""
        fault = None
        try:
            packets = self._reader.feed(data)
        except StreamFault as caught:
            packets, fault = list(caught.before), caught
        if self._state is State.LIVE:
            self._obey(self._relay.from_device(packets))
        elif self._state is not State.CLOSED:
            self._take_early(packets, len(data))
        if fault is not None:
            self._take_fault(fault)

    def eof_received(self) -> None:
        """The device has said goodbye to TLS, and not to MQTT."""
        self.end(Reason.CLIENT_GONE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The device is gone."""
        self.end(Reason.CLIENT_GONE)
        self._gate.roster.depart(self)

    def pause_writing(self) -> None:
        """The device reads too slowly."""
        if self._state is State.LIVE:
            self._relay.device_slow(self._loop.time())

    def resume_writing(self) -> None:
        """The device has caught up."""
        if self._state is State.LIVE:
            self._relay.device_slow(None)

    def _take_early(self, packets: list[Packet], size: int) -> None:
        """Keep what comes before the broker has accepted; a client need not wait for that (section 3.1.4)."""
        if self._state is State.AWAITING_CONNECT and packets:
            connect = cast("Connect", packets.pop(0))
            self._enter(State.ADMITTING)
            self._opening = self._loop.create_task(self._open(connect))
        self._early += packets
        self._early_bytes += size
        if self._early_bytes > self._gate.terms.limits.packet_bytes:
            self._transport.pause_reading()

    def _take_fault(self, fault: StreamFault) -> None:
        if self._state is State.AWAITING_CONNECT and fault.kind in {Kind.UNSUPPORTED, Kind.REJECTED}:
            # Only a CONNECT can be at fault in this way, and it gets an answer.
            self._enter(State.ADMITTING)
        self.end(breach(fault.kind), fault.message)

    # Opening.

    async def _open(self, connect: Connect) -> None:
        try:
            known = await self._gate.admission.principal(self.certificate_id, self._stranger)
            link = self._admit(known, connect)
            await self._gate.upstream.dial(link)
        except Refusal as refusal:
            self._refuse(refusal)
        except Fault as fault:
            self.end(Reason.UPSTREAM_UNAVAILABLE, fault.detail or fault.message)
        except Exception:
            log.exception("session.failed", connection=self._denials.who.connection)
            self.end(Reason.INTERNAL)

    def _admit(self, known: Known, connect: Connect) -> Link:
        """Decide the CONNECT, and be within reach of every change from the same moment."""
        gate, who = self._gate, self._denials.who
        if not connect.client_id:
            connect = replace(connect, client_id=ASSIGNED + random_id())
        self._denials.who = Who(who.connection, who.address, who.certificate_id, None, connect.client_id)
        if connect.will is not None and (problem := gate.terms.names.topic_problem(connect.will.topic)):
            resource = request_resource(Action.PUBLISH, connect.will.topic)
            raise Refusal(Reason.WILL_DENIED, action=Action.PUBLISH, resource=resource, detail=problem)
        self._take_admission(known, gate.admission.admit(known, self._peer, connect))
        self._connect = connect
        self._counter = Counter(gate.desk, self._denials.who, gate.terms.limits)
        self._exchange = Exchange(gate.terms, self._admitted.grant, self._counter.topics, self._denials)
        keep_alive_s = honoured_keep_alive_s(connect, gate.terms.limits)
        self._link = gate.upstream.prepare(self, connect, self._admitted.upstream_client_id, keep_alive_s)
        self._relay = Relay(self._transport, self._link, self._exchange, keep_alive_s, gate.terms.limits)
        self._counter.open(self._relay.answer)
        self._enter(State.CONNECTING)
        gate.roster.bind(self)
        return self._link

    def _take_admission(self, known: Known, admitted: Admitted) -> None:
        who = self._denials.who
        thing, is_exclusive = admitted.thing, admitted.is_exclusive
        self._denials.who = replace(who, thing=thing, client_id=admitted.client_id, is_exclusive=is_exclusive)
        self._admitted = admitted
        self._not_after = known.not_after

    def _take_connack(self, packets: list[Packet]) -> None:
        """Pass the broker's yes on. Its no is about us and not about the device, which is told to come again."""
        connack = cast("Connack", packets.pop(0))
        if connack.code is not ConnackCode.ACCEPTED:
            self.end(Reason.UPSTREAM_REFUSED, f"CONNACK {connack.code.value}")
            return
        self._enter(State.LIVE)
        self._connect = remembered(self._connect)
        self._transport.write(render(connack))
        self._gate.report.opened(self._denials.who)
        early, self._early = self._early, []
        self._transport.resume_reading()
        self._obey(self._relay.from_device(early))

    # The broker's end.

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Take what the broker sent."""
        if self._state is State.CONNECTING and packets:
            self._take_connack(packets)
        if self._state is State.LIVE:
            self._obey(self._relay.from_broker(packets))
        if fault is not None:
            self.end(Reason.UPSTREAM_INVALID, fault.message)

    def broker_slow(self, slow: bool) -> None:
        """The broker takes no more for now, or takes it again."""
        if self._state is State.LIVE:
            self._relay.broker_slow(slow)

    def broker_gone(self) -> None:
        """The broker has closed: it stopped, or this client id has come again somewhere else."""
        self.end(Reason.UPSTREAM_CLOSED)

    # What others want of it.

    def review(self, known: Known | None) -> None:
        """Decide the CONNECT again by what holds now: go on with it, or end."""
        if self._state not in {State.CONNECTING, State.LIVE}:
            return
        if known is None:
            self.end(Reason.UNKNOWN_CERTIFICATE)
            return
        try:
            admitted = self._gate.admission.admit(known, self._peer, self._connect)
        except Refusal as refusal:
            if refusal.silences_will:
                self.silence_will()
            self.end(refusal.reason, refusal.detail or "")
            return
        if admitted.owner != self._admitted.owner:
            # What the broker keeps under this session is another's now.
            self.end(Reason.OWNER_CHANGED)
            return
        self._take_admission(known, admitted)
        self._exchange.regrant(admitted.grant)

    def silence_will(self) -> None:
        """Have its will not published, however it ends."""
        if self._state in {State.CONNECTING, State.LIVE}:
            self._link.write(DISCONNECT)

    def tick(self, now_s: float, at: datetime) -> None:
        """About a second has passed."""
        if self._state is State.LIVE:
            self._exchange.count(self._gate.report)
            self._denials.tick()
            if at > self._not_after:
                self.end(Reason.CERTIFICATE_EXPIRED)
            else:
                self._obey(self._relay.tick(now_s))
        elif now_s >= self._deadline_s:
            self.end(Reason.UPSTREAM_UNAVAILABLE if self._state is State.CONNECTING else Reason.TIMEOUT)

    def _obey(self, ending: Ending | None) -> None:
        if ending is not None:
            self.end(*ending)

    def end(self, reason: Reason, detail: str = "") -> None:
        """End the connection, if it has not ended; who is not let in yet is told so."""
        if self._state is State.CLOSED:
            return
        if self._state is State.LIVE or reason in THEIRS:
            self._gate.report.closed(self._denials.who, reason, detail, ours=reason not in THEIRS)
            self._close(reason)
        else:
            resource = f"certificate/{self.certificate_id}"
            self._refuse(Refusal(reason, action=Action.CONNECT, resource=resource, detail=detail))

    def abort(self) -> None:
        """Cut the device off, whatever is still to be said to it."""
        self._transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        if self._state is State.CLOSED:
            return
        self._gate.report.refused(self._denials.who, refusal)
        code = connack_code(refusal)
        # Before its CONNECT, a client must not be sent anything.
        if code is not None and self._state is not State.AWAITING_CONNECT:
            self._transport.write(render(Connack(code)))
        self._close(refusal.reason)

    def _close(self, reason: Reason) -> None:
        before = self._state
        self._enter(State.CLOSED)
        self._gate.roster.leave(self)
        if before in {State.CONNECTING, State.LIVE}:
            self._counter.close()
            self._exchange.count(self._gate.report)
            self._denials.tick()
            # Without a DISCONNECT, unless the device itself sent one: its will is the broker's to publish.
            self._link.close()
        if self._opening is not None and self._opening is not asyncio.current_task(self._loop):
            self._opening.cancel()
        if reason is Reason.SLOW_READER:
            self._transport.abort()
        else:
            self._transport.close()

    def _enter(self, state: State) -> None:
        self._state = entered(self._state, state)
        self._deadline_s = self._loop.time() + UPSTREAM_WAIT_S_MAX
