"""What the broker delivers to a device of MQTT 5: decided, opened, and said in that version.

Without I/O. Source: OASIS MQTT 5.0, sections 3.3, 3.8.3.1 and 4.9.
"""

from dataclasses import dataclass
from typing import Final

from troth.gateway.denials import Denials
from troth.gateway.mqtt.acknowledgements import PUBACK, PUBCOMP, PUBREC
from troth.gateway.mqtt.conversation import Conversation
from troth.gateway.mqtt.envelope import Content, is_expired, is_sealed, left_s, open_envelope
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.subscriptions import Wish
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.window import Window
from troth.policy.actions import Action
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Suback,
    Unsuback,
    Version,
    build_publish,
    convert,
    render,
)
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties

TOO_LARGE_FOR_DEVICE: Final = "packet-too-large-for-device"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a CONNECT of MQTT 5 asks for, as far as the exchange keeps to it, and what it was told."""

    origin: bytes
    """How its own messages are told from others'."""
    receive_max: int
    """Messages of QoS 1 and 2 that may be under way to it at once."""
    packet_bytes_max: int | None
    """The longest packet that it takes; None for any."""
    takes_identifiers: bool
    """It was told that subscription identifiers are available, and so that No Local can be asked for."""


class Deliveries(Conversation):
    """The broker's half of a connection of MQTT 5."""

    __slots__ = ("_asked", "_inbound", "_window")

    def __init__(self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials, asked: Asked) -> None:
        super().__init__(terms, grant, own, denials)
        self._asked = asked
        self._window = Window(asked.receive_max, self.to_device)
        self._inbound: set[int] = set()

    @property
    def held_back_bytes(self) -> int:
        """Bytes that wait here until the device has acknowledged others."""
        return self._window.waiting_bytes

    def _speak(self, topic: str, payload: bytes) -> None:
        packet = build_publish(topic, payload, version=Version.MQTT_5)
        self._put(packet, packet.raw)

    def _say(self, packet: Suback | Unsuback) -> None:
        self.to_device.append(render(packet, Version.MQTT_5))

    def _deliver(self, packet: Publish) -> None:
        if not self._grant.may_receive(packet.topic):
            self._deny_delivery(packet)
            return
        content = None
        if self._terms.envelopes and is_sealed(packet):
            content = open_envelope(packet)
        wishes = self._subscriptions.wishes(packet.topic)
        if self._is_unwanted(packet, content, wishes):
            self._withhold(packet)
            return
        identifiers = tuple(sorted({wish.identifier for wish in wishes if wish.identifier}))
        if content is None:
            properties = Properties(subscription_ids=identifiers) if identifiers else NO_PROPERTIES
            raw = convert(packet, Version.MQTT_5, properties)
        else:
            expiry_s = left_s(content, self._terms.clock)
            properties = content.properties
            if identifiers or expiry_s != properties.message_expiry_s:
                properties = properties._replace(message_expiry_s=expiry_s, subscription_ids=identifiers)
            raw = convert(packet, Version.MQTT_5, properties, payload=content.payload)
        self._put(packet, raw)

    def _is_unwanted(self, packet: Publish, content: Content | None, wishes: tuple[Wish, ...]) -> bool:
        """Say whether a message is not for this device, although the broker has sent it."""
        if content is not None and is_expired(content, self._terms.clock):
            return True
        if wishes and packet.retain and all(wish.without_retained for wish in wishes):
            return True
        is_own = content is not None and content.origin == self._asked.origin
        return is_own and bool(wishes) and all(wish.no_local for wish in wishes)

    def _put(self, packet: Publish, raw: bytes) -> None:
        most = self._asked.packet_bytes_max
        if most is not None and len(raw) > most:
            # It counts as delivered (section 3.1.2.11.4).
            self._tell("receive.dropped", Action.RECEIVE, packet.topic, TOO_LARGE_FOR_DEVICE)
            self._withhold(packet)
            return
        self._send(packet.packet_id, raw)

    def _send(self, packet_id: int, raw: bytes) -> None:
        self._delivered += 1
        if packet_id:
            self._window.put(packet_id, raw)
        else:
            self.to_device.append(raw)

    def _puback_from_broker(self, packet: Puback) -> None:
        self._inbound.discard(packet.packet_id)
        self.to_device.append(PUBACK + packet.packet_id.to_bytes(2))

    def _pubrec_from_broker(self, packet: Pubrec) -> None:
        self.to_device.append(PUBREC + packet.packet_id.to_bytes(2))

    def _pubcomp_from_broker(self, packet: Pubcomp) -> None:
        self._inbound.discard(packet.packet_id)
        self.to_device.append(PUBCOMP + packet.packet_id.to_bytes(2))
