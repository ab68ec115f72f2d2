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
from troth.gateway.denials import Denials
from troth.gateway.first_connections import stranger_of
from troth.gateway.grants import Peer
from troth.gateway.mqtt.flight import FREE_BYTES, Share
from troth.gateway.mqtt.gate import Gate
from troth.gateway.mqtt.live import Arrival, Live
from troth.gateway.mqtt.opening import open_session
from troth.gateway.mqtt.pace import throttle
from troth.gateway.mqtt.relay import Ending
from troth.gateway.mqtt.states import State, entered
from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.mqtt.voice import farewell, refused
from troth.gateway.principals import Known
from troth.gateway.refusal import THEIRS, Reason, Refusal, breach
from troth.gateway.report import Who
from troth.keys.randomness import random_id
from troth.limits import UPSTREAM_WAIT_S_MAX
from troth.policy.actions import Action
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Packet,
    Reader,
    ReasonCode,
    Role,
    StreamFault,
    Version,
)
from troth.tls.server import PeerTLS

log = structlog.get_logger()


class Session(asyncio.Protocol):
    """What the TLS connection of a door gives plaintext to."""

    _transport: asyncio.Transport

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loop = asyncio.get_running_loop()
        self._state = State.AWAITING_CONNECT
        limits, now_s = gate.terms.limits, self._loop.time()
        self._reader = Reader(limits.packet_bytes, Role.SERVER, None, alias_max=limits.topic_aliases_max)
        self._live: Live | None = None
        self._early: list[Packet] = []
        self._early_bytes = 0
        self._opening: asyncio.Task[None] | None = None
        self._began_s, self._deadline_s = now_s, now_s + limits.connect_s

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
        self._transport.set_write_buffer_limits(high=min(FREE_BYTES, self._gate.terms.limits.write_queue_bytes_max))
        self._intake = Valve(self._transport)
        self._inflow = throttle(self._gate.terms.limits, self._intake, self._gate.meter, self._denials, "from-device")
        self._share = Share(self._gate.flight, self._intake, self.end)
        self._gate.roster.enter(self)

    def data_received(self, data: bytes) -> None:
        """Take what the device sent."""
        self._gate.meter.received_bytes += len(data)
        if self._inflow is not None:
            self._inflow.passed(len(data))
        fault = None
        try:
            packets = self._reader.feed(data)
        except StreamFault as caught:
            packets, fault = list(caught.before), caught
        live = self._live
        if self._state is State.LIVE and live is not None:
            self._obey(live.relay.from_device(packets))
        elif self._state is not State.CLOSED:
            self._take_early(packets, len(data))
        if fault is not None:
            self._take_fault(fault)
        if self._share.is_counted or not packets:
            self._note_held()

    def eof_received(self) -> None:
        """The device has said goodbye to TLS, and not to MQTT."""
        self.end(Reason.CLIENT_GONE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The device is gone."""
        self.end(Reason.CLIENT_GONE)
        self._gate.roster.depart(self)

    def pause_writing(self) -> None:
        """The device reads too slowly."""
        self._note_held()
        if self._state is State.LIVE and self._live is not None:
            self._live.relay.device_slow(self._loop.time())

    def resume_writing(self) -> None:
        """The device has caught up."""
        self._note_held()
        if self._state is State.LIVE and self._live is not None:
            self._live.relay.device_slow(None)

    def _take_early(self, packets: list[Packet], size: int) -> None:
        """Keep what comes before the broker has accepted; a client need not wait for that (section 3.1.4)."""
        if self._state is State.AWAITING_CONNECT and packets:
            connect = cast("Connect", packets.pop(0))
            self._enter(State.ADMITTING)
            self._opening = self._loop.create_task(self._open(connect))
        self._early += packets
        self._early_bytes += size
        if self._early_bytes > self._gate.terms.limits.packet_bytes:
            self._intake.shut(Why.EARLY)

    def _take_fault(self, fault: StreamFault) -> None:
        # Only a CONNECT can be at fault so that MQTT 3.1.1 has an answer; to MQTT 5 everything has one.
        is_answered = fault.kind in {Kind.UNSUPPORTED, Kind.REJECTED} or self._reader.version is Version.MQTT_5
        if self._state is State.AWAITING_CONNECT and is_answered:
            self._enter(State.ADMITTING)
        self.end(breach(fault.kind), fault.message, fault.reason)

    # Opening.

    async def _open(self, connect: Connect) -> None:
        try:
            known = await self._gate.admission.principal(self.certificate_id, self._stranger)
            await self._admit(known, connect).dial(known)
        except Refusal as refusal:
            self._refuse(refusal)
        except Fault as fault:
            self.end(Reason.UPSTREAM_UNAVAILABLE, fault.detail or fault.message)
        except Exception:
            log.exception("session.failed", connection=self._denials.who.connection)
            self.end(Reason.INTERNAL)

    def _admit(self, known: Known, connect: Connect) -> Live:
        """Decide the CONNECT, and be within reach of every change from the same moment."""
        gate = self._gate
        self._denials.who = replace(self._denials.who, client_id=connect.client_id)
        opening = open_session(connect, gate.terms, gate.upstream.flavour)
        arrival = Arrival(self, self, self._peer, self._denials, self._transport, self._intake)
        self._live = Live(gate, arrival, known, opening)
        self._enter(State.CONNECTING)
        gate.roster.bind(self)
        return self._live

    def _take_connack(self, live: Live, packets: list[Packet]) -> None:
        """Pass the broker's yes on. Its no is about us and not about the device, which is told to come again."""
        connack = cast("Connack", packets.pop(0))
        if connack.code is not ConnackCode.ACCEPTED:
            self.end(Reason.UPSTREAM_REFUSED, f"CONNACK {connack.code.value}")
            return
        self._enter(State.LIVE)
        self._opening = None
        self._transport.write(live.accept(connack))
        self._gate.meter.opened(self._loop.time() - self._began_s)
        self._gate.report.opened(self._denials.who)
        early, self._early = self._early, []
        self._intake.open(Why.EARLY)
        self._obey(live.relay.from_device(early))

    # The broker's end.

    def broker_sent(self, packets: list[Packet], fault: StreamFault | None) -> None:
        """Take what the broker sent."""
        live = self._live
        assert live is not None, "it has a link"
        if self._state is State.CONNECTING and packets:
            self._take_connack(live, packets)
        if self._state is State.LIVE:
            self._obey(live.relay.from_broker(packets))
        if fault is not None:
            self.end(Reason.UPSTREAM_INVALID, fault.message)

    def broker_slow(self, slow: bool) -> None:
        """The broker takes no more for now, or takes it again."""
        if self._state is State.LIVE and self._live is not None:
            self._live.relay.broker_slow(slow)
            self._note_held()

    def broker_gone(self) -> None:
        """The broker has closed: it stopped, or this client id has come again somewhere else."""
        if self._state is State.LIVE and self._live is not None:
            self._live.part(self.end)
        else:
            self.end(Reason.UPSTREAM_CLOSED)

    # What others want of it.

    def review(self, known: Known | None) -> None:
        """Decide the CONNECT again by what holds now: go on with it, or end."""
        if self._live is None or self._state is State.CLOSED:
            return
        self._obey((Reason.UNKNOWN_CERTIFICATE, "") if known is None else self._live.review(known))

    def silence_will(self) -> None:
        """Have its will not published, however it ends."""
        if self._live is not None and self._state is not State.CLOSED:
            self._live.silence_will()

    def tick(self, now_s: float, at: datetime) -> None:
        """About a second has passed."""
        live = self._live
        if self._inflow is not None:
            self._inflow.tick(now_s)
        if self._state is State.LIVE and live is not None:
            live.exchange.count(self._gate.report)
            self._denials.tick()
            if live.is_over(at):
                self.end(Reason.CERTIFICATE_EXPIRED)
            else:
                self._obey(live.relay.tick(now_s))
        elif now_s >= self._deadline_s:
            self.end(Reason.UPSTREAM_UNAVAILABLE if self._state is State.CONNECTING else Reason.TIMEOUT)

    def _obey(self, ending: Ending | None) -> None:
        if ending is not None:
            self.end(*ending)

    def end(self, reason: Reason, detail: str = "", code: ReasonCode | None = None) -> None:
        """End the connection, if it has not ended; who is not let in yet is told so.

        `code` is what MQTT 5 says of it, where that is more than what it says of the reason.
        """
        if self._state is State.CLOSED:
            return
        if self._state is State.LIVE or reason in THEIRS:
            self._gate.report.closed(self._denials.who, reason, detail, ours=reason not in THEIRS)
            if self._state is State.LIVE:
                farewell(self._transport, self._reader.version, reason, code)
            self._close(reason)
        else:
            resource = f"certificate/{self.certificate_id}"
            self._refuse(Refusal(reason, action=Action.CONNECT, resource=resource, detail=detail), code)

    def abort(self) -> None:
        """Cut the device off, whatever is still to be said to it."""
        self._transport.abort()

    def _refuse(self, refusal: Refusal, code: ReasonCode | None = None) -> None:
        if self._state is State.CLOSED:
            return
        self._gate.report.refused(self._denials.who, refusal)
        # Before its CONNECT, a client must not be sent anything.
        if self._state is not State.AWAITING_CONNECT:
            refused(self._transport, self._reader.version, refusal, code, aws=self._gate.terms.aws)
        self._close(refusal.reason)

    def _close(self, reason: Reason) -> None:
        self._enter(State.CLOSED)
        self._share.note(0)
        self._gate.roster.leave(self)
        if self._live is not None:
            self._live.close(reason)
        if self._opening is not None and self._opening is not asyncio.current_task(self._loop):
            self._opening.cancel()
        if reason in {Reason.SLOW_READER, Reason.MEMORY_HELD}:
            self._transport.abort()
        else:
            self._transport.close()

    def _note_held(self) -> None:
        if self._state is State.CLOSED:
            return
        live = self._live if self._state is State.LIVE else None
        self._share.note(self._reader.pending_bytes + (live.relay.waiting_bytes if live else self._early_bytes))

    def _enter(self, state: State) -> None:
        self._state = entered(self._state, state)
        self._deadline_s = self._loop.time() + UPSTREAM_WAIT_S_MAX
