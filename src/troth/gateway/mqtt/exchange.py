"""What passes between a device and the broker once its CONNECT is accepted: each packet is decided, then passed on.

Without I/O: packets in, bytes for either side out. Actions and resources are AWS IoT's; what a client of MQTT 3.1.1
must never be sent is not made here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from troth.errors import PeerFault
from troth.gateway.mqtt.acknowledgements import PUBACK, PUBCOMP, PUBREC, PUBREL, pass_to_broker, pass_to_device
from troth.gateway.mqtt.denying import NO_POLICY, deny
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.names import Names
from troth.gateway.mqtt.own_topics import OwnTopics, accepted
from troth.gateway.mqtt.subscriptions import Subscriptions
from troth.gateway.refusal import Reason
from troth.gateway.report import Denials, Report
from troth.limits import TOPICS_JUDGED_MAX, Limits
from troth.policy.actions import Action
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
    build_publish,
    render,
)

_PING_REQUEST: Final = render(Pingreq())
_PING_RESPONSE: Final = render(Pingresp())
DISCONNECT: Final = render(Disconnect())

TOO_MANY_FILTERS: Final = "too-many-filters"
TOO_MANY_SUBSCRIPTIONS: Final = "too-many-subscriptions"
NOT_SUBSCRIBED: Final = "not-subscribed"


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
        "_own",
        "_pongs_kept",
        "_published",
        "_subscribed",
        "_subscriptions",
        "_withheld",
        "to_broker",
        "to_device",
    )

    def __init__(
        self, grant: Grant, names: Names, own: OwnTopics, denials: Denials, limits: Limits, *, drops: bool
    ) -> None:
        """`drops` says that a denied PUBLISH is dropped and counted; otherwise it ends the connection, as on AWS."""
        self.to_broker: list[bytes] = []
        self.to_device: list[bytes] = []
        self._published = 0
        self._delivered = 0
        self._subscribed = 0
        self._grant = grant
        self._names = names
        self._own = own
        self._denials = denials
        self._drops = drops
        self._filters_max = limits.filters_per_subscribe_max
        self._good: set[str] = set()
        self._subscriptions = Subscriptions(limits.subscriptions_per_connection_max, own.subscribe, denials.subscribed)
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

    def _keep_publish(self, packet: Publish) -> None:
        """Keep a message from the broker: it is for the gateway itself, or denied."""
        is_asked = self._own.is_request(packet.topic) and not packet.retain and self._grant.may_publish(packet.topic)
        # Of QoS 2 it may be said again until it is over.
        if not (packet.qos == 2 and packet.packet_id in self._dropped):
            (self._ask if is_asked else self._tell_publish)(packet)
        if not is_asked and not self._drops:
            raise Ended(Reason.PUBLISH_DENIED)
        if packet.qos == 1:
            self.to_device.append(PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._dropped.add(packet.packet_id)
            self.to_device.append(PUBREC + packet.packet_id.to_bytes(2))

    def _ask(self, packet: Publish) -> None:
        self._published += 1
        # What nobody would hear is not begun: a private key would be made for nobody.
        where = accepted(packet.topic)
        if self._own.is_heard(where) and self._grant.may_receive(where):
            self._own.ask(packet.topic, packet.payload)
        else:
            deny(self._denials, self._grant, "receive.denied", Action.RECEIVE, where, NOT_SUBSCRIBED)

    def answer(self, topic: str, payload: bytes) -> None:
        """Give the device a message of the gateway's own, if it listens there and may receive it."""
        if self._own.is_heard(topic) and self._grant.may_receive(topic):
            self.to_device.append(build_publish(topic, payload).raw)
            self._delivered += 1

    def _tell_publish(self, packet: Publish) -> None:
        action = Action.PUBLISH
        if self._grant.may_publish(packet.topic) and self._names.topic_problem(packet.topic) is None:
            action = Action.RETAIN_PUBLISH
        deny(
            self._denials, self._grant, "publish.denied", action, packet.topic, self._names.topic_problem(packet.topic)
        )

    def _pubrel_from_device(self, packet: Pubrel) -> None:
        if packet.packet_id in self._dropped:
            self._dropped.discard(packet.packet_id)
            self.to_device.append(PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_broker.append(PUBREL + packet.packet_id.to_bytes(2))

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
        problem: str | None = None if self._own.is_own(topic_filter) else self._names.filter_problem(topic_filter)
        if problem is None and place >= self._filters_max:
            problem = TOO_MANY_FILTERS
        if problem is None and self._grant.may_subscribe(topic_filter):
            return None
        deny(self._denials, self._grant, "subscribe.denied", Action.SUBSCRIBE, topic_filter, problem)
        return problem or NO_POLICY

    def _no_room(self, topic_filter: str) -> None:
        deny(self._denials, self._grant, "subscribe.denied", Action.SUBSCRIBE, topic_filter, TOO_MANY_SUBSCRIPTIONS)

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        self._own.unsubscribe(packet.topic_filters)
        self._denials.unsubscribed(packet.topic_filters)
        forward = self._subscriptions.drop(packet, lambda each: self._names.filter_problem(each) is None)
        if forward is not None:
            self.to_broker.append(render(forward))
        else:
            self.to_device.append(render(Unsuback(packet.packet_id)))

    def _disconnect(self, _: Disconnect) -> None:
        self.to_broker.append(DISCONNECT)
        raise Ended(Reason.CLIENT_DISCONNECT)

    # From the broker.

    def _unsuback(self, packet: Unsuback) -> None:
        self.to_device.append(render(packet))

    def _deny_delivery(self, packet: Publish) -> None:
        """Keep a message from the device, and answer the broker in its place so that its flow goes on."""
        deny(self._denials, self._grant, "receive.denied", Action.RECEIVE, packet.topic, None)
        if packet.qos == 1:
            self.to_broker.append(PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._withheld.add(packet.packet_id)
            self.to_broker.append(PUBREC + packet.packet_id.to_bytes(2))

    def _pubrel_from_broker(self, packet: Pubrel) -> None:
        if packet.packet_id in self._withheld:
            self._withheld.discard(packet.packet_id)
            self.to_broker.append(PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_device.append(PUBREL + packet.packet_id.to_bytes(2))

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


_FROM_DEVICE: Final[Mapping[type[Packet], Callable[[Exchange, Any], None]]] = {
    Publish: Exchange._keep_publish,
    Puback: pass_to_broker(PUBACK),
    Pubrec: pass_to_broker(PUBREC),
    Pubrel: Exchange._pubrel_from_device,
    Pubcomp: pass_to_broker(PUBCOMP),
    Subscribe: Exchange._subscribe,
    Unsubscribe: Exchange._unsubscribe,
    Pingreq: Exchange._pingreq,
    Disconnect: Exchange._disconnect,
}
_FROM_BROKER: Final[Mapping[type[Packet], Callable[[Exchange, Any], None]]] = {
    Publish: Exchange._deny_delivery,
    Puback: pass_to_device(PUBACK),
    Pubrec: pass_to_device(PUBREC),
    Pubrel: Exchange._pubrel_from_broker,
    Pubcomp: pass_to_device(PUBCOMP),
    Suback: Exchange._suback,
    Unsuback: Exchange._unsuback,
    Pingresp: Exchange._pingresp,
}
