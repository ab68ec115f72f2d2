"""What passes between a device and the broker once its CONNECT is accepted: each packet is decided, then passed on.

Without I/O: packets in, bytes for either side out. Actions and resources are AWS IoT's; what a client of MQTT 3.1.1
must never be sent is not made here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from troth.errors import PeerFault
from troth.gateway.mqtt.names import Names
from troth.gateway.mqtt.subscriptions import Subscriptions
from troth.gateway.refusal import Reason
from troth.gateway.report import Denials, Report
from troth.limits import TOPICS_JUDGED_MAX, Limits
from troth.policy.actions import Action, request_resource
from troth.policy.decision import Outcome
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    render,
)

_PING_REQUEST: Final = render(Pingreq())
_PING_RESPONSE: Final = render(Pingresp())
_DISCONNECT: Final = render(Disconnect())
# Two of three packets of a QoS 1 flow are these, so they are not worth a call of the general writer.
_PUBACK: Final = b"\x40\x02"
_PUBREC: Final = b"\x50\x02"
_PUBREL: Final = b"\x62\x02"
_PUBCOMP: Final = b"\x70\x02"

TOO_MANY_FILTERS: Final = "too-many-filters"
TOO_MANY_SUBSCRIPTIONS: Final = "too-many-subscriptions"
NO_POLICY: Final = "policy"


class Ended(Exception):
    """The conversation is over. What was put out before still goes."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail


class Exchange:
    """One live connection. `to_broker` and `to_device` are what is to be sent; whoever sends it empties them."""

    __slots__ = (
        "_delivered",
        "_denials",
        "_dropped",
        "_drops",
        "_filters_max",
        "_good",
        "_grant",
        "_names",
        "_pongs_kept",
        "_published",
        "_subscribed",
        "_subscriptions",
        "_withheld",
        "to_broker",
        "to_device",
    )

    def __init__(self, grant: Grant, names: Names, denials: Denials, limits: Limits, *, drops: bool) -> None:
        """`drops` says that a denied PUBLISH is dropped and counted; otherwise it ends the connection, as on AWS."""
        self.to_broker: list[bytes] = []
        self.to_device: list[bytes] = []
        self._published = 0
        self._delivered = 0
        self._subscribed = 0
        self._grant = grant
        self._names = names
        self._denials = denials
        self._drops = drops
        self._filters_max = limits.filters_per_subscribe_max
        self._good: set[str] = set()
        self._subscriptions = Subscriptions(limits.subscriptions_per_connection_max)
        self._dropped: set[int] = set()
        self._withheld: set[int] = set()
        self._pongs_kept = 0

    def regrant(self, grant: Grant) -> None:
        """Decide by `grant` from now on. Subscriptions that are held stay; each delivery is decided."""
        self._grant = grant

    def from_device(self, packets: Iterable[Packet]) -> None:
        """Decide what the device sent. Raises `Ended`, also for what breaks the protocol."""
        grant = self._grant
        good = self._good
        forward = self.to_broker.append
        published = 0
        for packet in packets:
            if isinstance(packet, Publish):
                raw, topic, qos, retain, packet_id, _ = packet
                if (
                    (topic in good or self._is_good(topic))
                    and grant.may_publish(topic)
                    and (not retain or grant.may_retain(topic))
                    and not (qos == 2 and packet_id in self._dropped)
                ):
                    forward(raw)
                    published += 1
                    continue
            # What follows may end the conversation.
            self._published += published
            published = 0
            _FROM_DEVICE[type(packet)](self, packet)
        self._published += published

    def from_broker(self, packets: Iterable[Packet]) -> None:
        """Decide what the broker sent. Raises `Ended` for what no broker may send."""
        may_receive = self._grant.may_receive
        forward = self.to_device.append
        delivered = 0
        for packet in packets:
            if isinstance(packet, Publish) and may_receive(packet[1]):
                forward(packet[0])
                delivered += 1
                continue
            self._delivered += delivered
            delivered = 0
            _FROM_BROKER[type(packet)](self, packet)
        self._delivered += delivered

    def count(self, report: Report) -> None:
        """Hand over what was allowed since the last time."""
        if self._published:
            report.allowed(Action.PUBLISH, self._published)
        if self._delivered:
            report.allowed(Action.RECEIVE, self._delivered)
        if self._subscribed:
            report.allowed(Action.SUBSCRIBE, self._subscribed)
        self._published = self._delivered = self._subscribed = 0

    def ping(self) -> None:
        """Show the broker that somebody is there, although the device's last packets went no further than here."""
        self.to_broker.append(_PING_REQUEST)
        self._pongs_kept += 1

    # From the device.

    def _pingreq(self, _: Pingreq) -> None:
        self.to_broker.append(_PING_REQUEST)

    def _is_good(self, topic: str) -> bool:
        if self._names.topic_problem(topic) is not None:
            return False
        if len(self._good) >= TOPICS_JUDGED_MAX:
            self._good.clear()
        self._good.add(topic)
        return True

    def _deny_publish(self, packet: Publish) -> None:
        if not (packet.qos == 2 and packet.packet_id in self._dropped):
            self._tell_publish(packet)
        if not self._drops:
            raise Ended(Reason.PUBLISH_DENIED)
        if packet.qos == 1:
            self.to_device.append(_PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._dropped.add(packet.packet_id)
            self.to_device.append(_PUBREC + packet.packet_id.to_bytes(2))

    def _tell_publish(self, packet: Publish) -> None:
        action = Action.PUBLISH
        if self._grant.may_publish(packet.topic) and self._names.topic_problem(packet.topic) is None:
            action = Action.RETAIN_PUBLISH
        self._deny("publish.denied", action, packet.topic, self._names.topic_problem(packet.topic))

    def _pubrel_from_device(self, packet: Pubrel) -> None:
        if packet.packet_id in self._dropped:
            self._dropped.discard(packet.packet_id)
            self.to_device.append(_PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_broker.append(_PUBREL + packet.packet_id.to_bytes(2))

    def _subscribe(self, packet: Subscribe) -> None:
        try:
            split = self._subscriptions.split(packet, self._filter_objection, self._no_room)
        except PeerFault as fault:
            raise Ended(Reason.PROTOCOL_ERROR, fault.message) from fault
        if split.forward is not None:
            self._subscribed += len(split.forward.subscriptions)
            self.to_broker.append(render(split.forward))
        if split.answer is not None:
            self.to_device.append(render(split.answer))

    def _filter_objection(self, place: int, topic_filter: str) -> str | None:
        problem: str | None = self._names.filter_problem(topic_filter)
        if problem is None and place >= self._filters_max:
            problem = TOO_MANY_FILTERS
        if problem is None and self._grant.may_subscribe(topic_filter):
            return None
        self._deny("subscribe.denied", Action.SUBSCRIBE, topic_filter, problem)
        return problem or NO_POLICY

    def _no_room(self, topic_filter: str) -> None:
        self._deny("subscribe.denied", Action.SUBSCRIBE, topic_filter, TOO_MANY_SUBSCRIPTIONS)

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        forward = self._subscriptions.drop(packet, lambda each: self._names.filter_problem(each) is None)
        if forward is not None:
            self.to_broker.append(render(forward))
        else:
            self.to_device.append(render(Unsuback(packet.packet_id)))

    def _disconnect(self, _: Disconnect) -> None:
        self.to_broker.append(_DISCONNECT)
        raise Ended(Reason.CLIENT_DISCONNECT)

    # From the broker.

    def _unsuback(self, packet: Unsuback) -> None:
        self.to_device.append(render(packet))

    def _deny_delivery(self, packet: Publish) -> None:
        """Keep a message from the device, and answer the broker in its place so that its flow goes on."""
        self._deny("receive.denied", Action.RECEIVE, packet.topic, None)
        if packet.qos == 1:
            self.to_broker.append(_PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._withheld.add(packet.packet_id)
            self.to_broker.append(_PUBREC + packet.packet_id.to_bytes(2))

    def _pubrel_from_broker(self, packet: Pubrel) -> None:
        if packet.packet_id in self._withheld:
            self._withheld.discard(packet.packet_id)
            self.to_broker.append(_PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_device.append(_PUBREL + packet.packet_id.to_bytes(2))

    def _suback(self, packet: Suback) -> None:
        try:
            merged = self._subscriptions.merge(packet)
        except PeerFault as fault:
            raise Ended(Reason.UPSTREAM_INVALID, fault.message) from fault
        self.to_device.append(render(merged))

    def _pingresp(self, _: Pingresp) -> None:
        if self._pongs_kept:
            self._pongs_kept -= 1
        else:
            self.to_device.append(_PING_RESPONSE)

    def _deny(self, event: str, action: Action, name: str, problem: str | None) -> None:
        """Tell of a denial: what policy says comes before what speaks against the name itself."""
        decision = self._grant.decide(action, name)
        if decision.allowed and problem is not None:
            outcome, reason, detail = Outcome.IMPLICIT_DENY, str(problem), ""
            resource = request_resource(action, name)
        else:
            outcome, reason, detail, resource = decision.outcome, NO_POLICY, decision.reason, decision.resource
        self._denials.tell(event, action, resource, outcome, reason, detail)


def _to_broker(head: bytes) -> Callable[[Exchange, Any], None]:
    return lambda exchange, packet: exchange.to_broker.append(head + packet.packet_id.to_bytes(2))


def _to_device(head: bytes) -> Callable[[Exchange, Any], None]:
    return lambda exchange, packet: exchange.to_device.append(head + packet.packet_id.to_bytes(2))


_FROM_DEVICE: Final[Mapping[type[Packet], Callable[[Exchange, Any], None]]] = {
    Publish: Exchange._deny_publish,
    Puback: _to_broker(_PUBACK),
    Pubrec: _to_broker(_PUBREC),
    Pubrel: Exchange._pubrel_from_device,
    Pubcomp: _to_broker(_PUBCOMP),
    Subscribe: Exchange._subscribe,
    Unsubscribe: Exchange._unsubscribe,
    Pingreq: Exchange._pingreq,
    Disconnect: Exchange._disconnect,
}
_FROM_BROKER: Final[Mapping[type[Packet], Callable[[Exchange, Any], None]]] = {
    Publish: Exchange._deny_delivery,
    Puback: _to_device(_PUBACK),
    Pubrec: _to_device(_PUBREC),
    Pubrel: Exchange._pubrel_from_broker,
    Pubcomp: _to_device(_PUBCOMP),
    Suback: Exchange._suback,
    Unsuback: Exchange._unsuback,
    Pingresp: Exchange._pingresp,
}
