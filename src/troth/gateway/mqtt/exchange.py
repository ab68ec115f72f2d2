"""What passes between a device of MQTT 3.1.1 and the broker: each packet is decided, then passed on as it is.

Without I/O: packets in, bytes for either side out. What a client of MQTT 3.1.1 must never be sent is not made here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from troth.gateway.denials import Denials
from troth.gateway.mqtt.acknowledgements import PUBACK, PUBCOMP, PUBREC, PUBREL, pass_to_broker, pass_to_device
from troth.gateway.mqtt.conversation import DISCONNECT, Conversation
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.envelope import LAST_BYTE, NO_BYTE, escape, is_expired, is_sealed, open_envelope
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.terms import Terms
from troth.gateway.refusal import Reason
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
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

_PLAIN: Final = frozenset({0x30, 0x32, 0x3A})
"""First bytes of messages that are neither retained nor of QoS 2: there is no more to ask of them."""
RESERVED_PAYLOAD: Final = "payload-reserved"
QOS_REFUSED: Final = "qos-not-supported"


class Exchange(Conversation):
    """One live connection of MQTT 3.1.1."""

    __slots__ = ("_dropped", "_opened")

    def __init__(self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials) -> None:
        super().__init__(terms, grant, own, denials)
        self._dropped: dict[int, None] = {}
        # The last byte of what may be an envelope: any other message is none, and is looked at no further.
        self._opened = LAST_BYTE if terms.envelopes else NO_BYTE

    def from_device(self, packets: Iterable[Packet]) -> None:
        """Decide what the device sent. Raises `Ended`, also for what breaks the protocol."""
        grant = self._grant
        good = self._good
        forward = self.to_broker.append
        published = 0
        for packet in packets:
            if isinstance(packet, Publish):
                raw, topic = packet[0], packet[1]
                if (
                    (topic in good or self._is_good(topic))
                    and grant.may_publish(topic)
                    and raw[0] in _PLAIN
                    and raw[-1] != LAST_BYTE
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
        opened = self._opened
        delivered = 0
        for packet in self._as_aws(packets) if self._terms.aws else packets:
            if isinstance(packet, Publish) and may_receive(packet[1]):
                raw = packet[0]
                if raw[-1] != opened or not is_sealed(packet):
                    forward(raw)
                    delivered += 1
                else:
                    self._open(packet)
                continue
            self._delivered += delivered
            delivered = 0
            _FROM_BROKER[type(packet)](self, packet)
        self._delivered += delivered

    # What the versions differ in.

    def _speak(self, topic: str, payload: bytes) -> None:
        self.to_device.append(build_publish(topic, payload).raw)
        self._delivered += 1

    def _say(self, packet: Suback | Unsuback) -> None:
        self.to_device.append(render(Unsuback(packet.packet_id) if isinstance(packet, Unsuback) else packet))

    def _filter_code(self, problem: str) -> int:
        return SUBSCRIPTION_REFUSED

    def _refuse_for_now(self, packet: Publish) -> None:
        # There is no answer but an acknowledgement; without one the device sends it again when it is back.
        pass

    # From the device.

    def _publish(self, packet: Publish) -> None:
        """Deal with a message that is not passed on as it is."""
        problem = self._topic_problem(packet)
        is_allowed = problem is None and self._may_publish(packet)
        if not is_allowed or (packet.qos == 2 and packet.packet_id in self._dropped):
            self._keep_publish(packet, problem)
        elif not is_sealed(packet):
            self._published += 1
            self.to_broker.append(packet.raw)
        elif self._terms.envelopes:
            self._published += 1
            self.to_broker.append(escape(packet).raw)
        else:
            self._keep_publish(packet, RESERVED_PAYLOAD)

    def _keep_publish(self, packet: Publish, problem: str | None) -> None:
        """Keep a message from the broker: it is for the gateway itself, or denied."""
        is_asked = self._is_request(packet)
        # Of QoS 2 it may be said again until it is over.
        if not (packet.qos == 2 and packet.packet_id in self._dropped):
            if is_asked:
                self._ask(packet)
            else:
                self._tell_publish(packet.topic, problem)
        if not is_asked and not self._terms.drops_denied:
            raise Ended(Reason.PUBLISH_DENIED)
        if packet.qos == 1:
            self.to_device.append(PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._dropped[packet.packet_id] = None
            self.to_device.append(PUBREC + packet.packet_id.to_bytes(2))

    def _pubrel_from_device(self, packet: Pubrel) -> None:
        if packet.packet_id in self._dropped:
            del self._dropped[packet.packet_id]
            self.to_device.append(PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_broker.append(PUBREL + packet.packet_id.to_bytes(2))

    def _disconnect(self, _: Disconnect) -> None:
        self.to_broker.append(DISCONNECT)
        raise Ended(Reason.CLIENT_DISCONNECT)

    # From the broker.

    def _open(self, packet: Publish) -> None:
        """Deliver what is in an envelope: its payload, for this version can say no more."""
        content = open_envelope(packet)
        if is_expired(content, self._terms.clock):
            self._withhold(packet)
            return
        inner = build_publish(
            packet.topic,
            content.payload,
            qos=packet.qos,
            retain=packet.retain,
            dup=packet.dup,
            packet_id=packet.packet_id,
        )
        self.to_device.append(inner.raw)
        self._delivered += 1


_FROM_DEVICE: Final[Mapping[type[Packet], Callable[[Exchange, Any], None]]] = {
    Publish: Exchange._publish,
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
