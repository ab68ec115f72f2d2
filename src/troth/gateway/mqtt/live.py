"""All that a session is from its admission to its end: what it may do, its exchange and its link to the broker.

Decides the CONNECT, opens what the broker has of the session as the device asked, and leaves behind what is to remain.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from troth.gateway.admission import Admitted, remembered
from troth.gateway.denials import Denials
from troth.gateway.grants import Peer
from troth.gateway.mqtt.conversation import DISCONNECT
from troth.gateway.mqtt.gate import Gate
from troth.gateway.mqtt.opening import Beginning, Opening
from troth.gateway.mqtt.provisioning import Counter
from troth.gateway.mqtt.relay import Relay
from troth.gateway.mqtt.seats import Sitter, Visitor
from troth.gateway.mqtt.upstream import Listener
from troth.gateway.mqtt.valve import Valve
from troth.gateway.principals import Known
from troth.gateway.refusal import Reason, Refusal
from troth.policy.actions import Action, request_resource
from troth.protocols.mqtt import Connack
from troth.x509.times import has_ended


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who has come, and on which wire."""

    session: Listener
    sitter: Sitter
    peer: Peer
    denials: Denials
    transport: asyncio.Transport
    intake: Valve


class Live:
    """An admitted session. Raises `Refusal` when it is not to be one."""

    __slots__ = (
        "_admitted",
        "_arrival",
        "_connect",
        "_counter",
        "_forgets",
        "_gate",
        "_is_accepted",
        "_link",
        "_not_after",
        "_opening",
        "_parting",
        "_silenced",
        "exchange",
        "relay",
    )

    def __init__(self, gate: Gate, arrival: Arrival, known: Known, opening: Opening) -> None:
        self._gate = gate
        self._arrival = arrival
        self._opening = opening
        self._connect = opening.connect
        self._forgets = False
        self._is_accepted = False
        self._silenced = False
        self._parting: asyncio.Task[None] | None = None
        denials, connect = arrival.denials, opening.connect
        if denials.who.client_id != connect.client_id:
            denials.who = replace(denials.who, client_id=connect.client_id)
        if connect.will is not None and (problem := gate.terms.names.topic_problem(connect.will.topic)):
            resource = request_resource(Action.PUBLISH, connect.will.topic)
            raise Refusal(Reason.WILL_DENIED, action=Action.PUBLISH, resource=resource, detail=problem)
        self._admitted = gate.admission.admit(known, arrival.peer, connect)
        seat = self._admitted.upstream_client_id
        # By its owner's seat, so that nobody uses up another's connections.
        if gate.often is not None and not gate.often.take(seat, asyncio.get_running_loop().time()):
            resource = request_resource(Action.CONNECT, connect.client_id)
            raise Refusal(Reason.CONNECTS_TOO_OFTEN, action=Action.CONNECT, resource=resource)
        self._take(known, self._admitted)
        self._counter = Counter(gate.desk, denials.who, gate.terms.limits)
        own = self._counter.topics
        self.exchange = opening.exchange(gate.terms, self._admitted.grant, own, denials, seat)
        self._link = gate.upstream.prepare(arrival.session, connect, seat, opening.keep_alive_s)
        if self._admitted.grant.asks_for_signatures:
            self.exchange.checker = gate.readings.checker(known.certificate_id, self._admitted.thing)
        limits, keep_alive_s = gate.terms.limits, opening.keep_alive_s
        self.relay = Relay(
            arrival.transport, arrival.intake, self._link, self.exchange, keep_alive_s, limits, gate.meter, denials
        )
        self._counter.open(self.relay.answer)
        gate.seats.take(seat, arrival.sitter)

    async def dial(self, known: Known) -> None:
        """Connect to the broker, which says CONNACK then, for whom `known` is. Raises `Fault` (unavailable)."""
        await self._gate.admission.settle(known)
        if self.exchange.checker is not None:
            await self._gate.readings.open(self.exchange.checker)
        seats, seat, opening = self._gate.seats, self._admitted.upstream_client_id, self._opening
        await seats.settle(seat, resumes=opening.resumes)
        if opening.beginning is Beginning.ANEW:
            await seats.visit(seat, clean=True)
        elif opening.beginning is Beginning.IF_ANY and await self._resume():
            return
        await self._gate.upstream.dial(self._link)

    async def _resume(self) -> bool:
        """Take up what the broker has of the session, and say whether it had any; if not, another link is prepared."""
        upstream, visitor, link = self._gate.upstream, Visitor(), self._link
        link.hand_over(visitor)
        await upstream.dial(link)
        connack = await visitor.answered()
        if connack.session_present:
            self._forgets = True
            link.hand_over(self._arrival.session)
            self._arrival.session.broker_sent(visitor.packets, visitor.fault)
            return True
        # The look itself has left a session behind; the next link has that forgotten, too.
        link.write(DISCONNECT)
        await visitor.gone()
        clean = replace(self._opening.connect, clean_session=True)
        seat, keep_alive_s = self._admitted.upstream_client_id, self._opening.keep_alive_s
        self._link = self.relay.link = upstream.prepare(self._arrival.session, clean, seat, keep_alive_s)
        return False

    def accept(self, connack: Connack) -> bytes:
        """The broker has said yes; return what the device is told."""
        self._is_accepted = True
        # What is not needed to decide again is not kept.
        connect = remembered(self._connect)
        if connect is not self._connect:
            self._connect = connect
            self._opening = replace(self._opening, connect=connect)
        return self._opening.accepted(session_present=connack.session_present)

    def review(self, known: Known) -> tuple[Reason, str] | None:
        """Decide the CONNECT again by what holds now; return why the session must end, if it must."""
        try:
            admitted = self._gate.admission.admit(known, self._arrival.peer, self._connect)
        except Refusal as refusal:
            if refusal.silences_will:
                self.silence_will()
            return refusal.reason, refusal.detail or ""
        if admitted.owner != self._admitted.owner:
            # What the broker keeps under this session is another's now.
            return Reason.OWNER_CHANGED, ""
        self._take(known, admitted)
        if admitted.grant.asks_for_signatures and self.exchange.checker is None:
            # Its keys are looked up now; a message that comes first is signed by none.
            self.exchange.checker = self._gate.readings.checker(known.certificate_id, admitted.thing)
            self._gate.readings.open_soon(self.exchange.checker)
        self.relay.regrant(admitted.grant)
        return None

    def is_over(self, at: datetime) -> bool:
        """Say whether the certificate has expired `at` a time."""
        return has_ended(self._not_after, at)

    def silence_will(self) -> None:
        """Have its will not published, however it ends."""
        self._silenced = True
        self._link.write(DISCONNECT)

    def part(self, end: Callable[[Reason], None]) -> None:
        """The broker has closed: find out whether another connection has taken the session over, and end."""
        self._parting = asyncio.get_running_loop().create_task(self._part(end))

    async def _part(self, end: Callable[[Reason], None]) -> None:
        is_up = await self._gate.seats.is_broker_up()
        end(Reason.TAKEN_OVER if is_up else Reason.UPSTREAM_CLOSED)

    def close(self, reason: Reason) -> None:
        """Leave the broker as the device asked: with its will due, now or later, and its session kept or forgotten."""
        gate, seat = self._gate, self._admitted.upstream_client_id
        gate.seats.leave(seat, self._arrival.sitter)
        if self.exchange.checker is not None:
            gate.readings.close(self.exchange.checker)
        self._counter.close()
        self.exchange.count(gate.report)
        self._arrival.denials.tick()
        delay_s = self._will_delay_s(reason)
        if delay_s is None:
            # Without a DISCONNECT, unless the device itself sent one.
            self._link.close()
        elif delay_s:
            gate.seats.keep_will(seat, self._link, delay_s, self._may_speak)
        else:
            gate.seats.publish_will(seat, self._link)
        left = self.exchange.left
        # Where the broker has closed, another connection may have the session by now.
        forgets = self._forgets and reason not in {Reason.UPSTREAM_CLOSED, Reason.TAKEN_OVER}
        if forgets or (left is not None and left.properties.session_expiry_s == 0 and self._opening.is_kept):
            gate.seats.forget(seat)

    def _will_delay_s(self, reason: Reason) -> int | None:
        """Return how long the will must wait; 0 for one that is due, None for none and for one that is forgotten."""
        left = self.exchange.left
        if self._connect.will is None or self._silenced or not self._is_accepted:
            return None
        if left is None:
            return None if reason is Reason.CLIENT_DISCONNECT else self._opening.will_delay_s
        if not left.reason:
            return None
        kept_s = left.properties.session_expiry_s
        return self._opening.will_delay_s if kept_s is None else min(self._opening.will_delay_s, kept_s)

    async def _may_speak(self) -> bool:
        """Say whether its will may be published now that it is due: policy is asked again."""
        try:
            known = await self._gate.admission.principal(self._arrival.peer.certificate_id)
            self._gate.admission.admit(known, self._arrival.peer, self._connect)
        except Refusal as refusal:
            return not refusal.silences_will
        return True

    def _take(self, known: Known, admitted: Admitted) -> None:
        denials, thing, is_exclusive = self._arrival.denials, admitted.thing, admitted.is_exclusive
        denials.who = replace(denials.who, thing=thing, client_id=admitted.client_id, is_exclusive=is_exclusive)
        self._admitted = admitted
        self._not_after: datetime = known.not_after
