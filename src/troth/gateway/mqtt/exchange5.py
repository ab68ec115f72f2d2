"""What passes between a device of MQTT 5 and a broker of 3.1.1: each packet is decided, then said in the other version.

Without I/O: packets in, bytes for either side out. What becomes of each feature of MQTT 5 stands in docs/mqtt.md.
Source: OASIS MQTT 5.0, chapters 3 and 4.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from troth.gateway.denials import Denials
from troth.gateway.mqtt.acknowledgements import PUBACK, PUBCOMP, PUBREC, PUBREL
from troth.gateway.mqtt.conversation import DISCONNECT
from troth.gateway.mqtt.deliveries import Asked, Deliveries
from troth.gateway.mqtt.denying import NO_POLICY
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.envelope import Content, expiry_ms, is_sealed, seal
from troth.gateway.mqtt.listening import TOO_MANY_FILTERS, TOO_MANY_SUBSCRIPTIONS
from troth.gateway.mqtt.names import NameProblem
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.translating import is_plain, is_plain5, with_no_properties, without_properties
from troth.gateway.refusal import Reason
from troth.policy.actions import Action
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    Auth,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    convert,
    render,
)
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties

PROPERTIES_REFUSED: Final = "properties-not-carried"
OPTION_REFUSED: Final = "option-not-offered"
IDENTIFIERS_REFUSED: Final = "identifiers-not-offered"

_FILTER_CODES: Final[Mapping[str, ReasonCode]] = MappingProxyType(
    {
        **dict.fromkeys(NameProblem, ReasonCode.TOPIC_FILTER_INVALID),
        NameProblem.SHARED: ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
        NO_POLICY: ReasonCode.NOT_AUTHORIZED,
        TOO_MANY_FILTERS: ReasonCode.QUOTA_EXCEEDED,
        TOO_MANY_SUBSCRIPTIONS: ReasonCode.QUOTA_EXCEEDED,
        OPTION_REFUSED: ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
        IDENTIFIERS_REFUSED: ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
    }
)
_ENDINGS: Final[Mapping[ReasonCode, Reason]] = MappingProxyType(
    {
        ReasonCode.NOT_AUTHORIZED: Reason.PUBLISH_DENIED,
        ReasonCode.TOPIC_NAME_INVALID: Reason.TOPIC_REFUSED,
        ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR: Reason.PROPERTIES_REFUSED,
    }
)
"""Why a message of QoS 0 that is refused with a code ends the connection: there is no other way to say so."""


class Exchange5(Deliveries):
    """One live connection of MQTT 5."""

    __slots__ = ("_answered",)

    def __init__(self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials, asked: Asked) -> None:
        super().__init__(terms, grant, own, denials, asked)
        self._answered: set[int] = set()

    def from_device(self, packets: Iterable[Packet]) -> None:
        """Decide what the device sent. Raises `Ended`, also for what breaks the protocol."""
        may_publish, good = self._grant.may_publish, self._good
        for packet in packets:
            if isinstance(packet, Publish) and is_plain5(packet) and not self._subscriptions.is_special:
                topic, packet_id = packet[1], packet[4]
                if topic in good and may_publish(topic):
                    if packet_id:
                        self._enter(packet_id)
                    self.to_broker.append(without_properties(packet))
                    self._published += 1
                    continue
            _FROM_DEVICE[type(packet)](self, packet)

    def from_broker(self, packets: Iterable[Packet]) -> None:
        """Decide what the broker sent. Raises `Ended` for what no broker may send."""
        may_receive = self._grant.may_receive
        is_particular = self._subscriptions.is_special or self._asked.packet_bytes_max is not None
        for packet in self._as_aws(packets) if self._terms.aws else packets:
            if isinstance(packet, Publish) and is_plain(packet) and not is_particular and may_receive(packet[1]):
                self._send(packet[4], with_no_properties(packet))
            else:
                _FROM_BROKER[type(packet)](self, packet)

    # What the versions differ in.

    def _filter_code(self, problem: str) -> int:
        return _FILTER_CODES[problem]

    def _filter_problem(self, wanted: Subscription) -> str | None:
        problem = super()._filter_problem(wanted)
        if problem is None and wanted.retain_as_published:
            return OPTION_REFUSED
        if problem is None and wanted.no_local and not (self._asked.takes_identifiers and self._terms.envelopes):
            return OPTION_REFUSED
        return problem

    def _refuse_for_now(self, packet: Publish) -> None:
        self._acknowledge(packet, ReasonCode.QUOTA_EXCEEDED)

    # From the device.

    def _publish(self, packet: Publish) -> None:
        if packet.qos:
            self._enter(packet.packet_id)
        problem = self._topic_problem(packet)
        if self._is_request(packet):
            self._ask(packet)
            self._acknowledge(packet, ReasonCode.SUCCESS)
            return
        code = self._objection(packet, problem)
        if code is None:
            self._forward(packet)
        elif packet.qos:
            self._acknowledge(packet, code)
        elif not self._terms.drops_denied:
            raise Ended(_ENDINGS[code])

    def _enter(self, packet_id: int) -> None:
        """A message that is to be acknowledged has come: no more of them at once than the device was told."""
        if packet_id in self._inbound:
            raise Ended(Reason.PROTOCOL_ERROR, "a packet identifier is used again before it was answered")
        self._inbound.add(packet_id)
        if len(self._inbound) > self._terms.limits.receive_max:
            raise Ended(Reason.RECEIVE_MAXIMUM)

    def _objection(self, packet: Publish, problem: str | None) -> ReasonCode | None:
        """Return the code that refuses a message, which is told of; None for one that is allowed."""
        topic = packet.topic
        is_allowed = self._may_publish(packet)
        if is_allowed and problem is None:
            # An envelope around nothing is something, and would not end what is retained [MQTT-3.3.1-6].
            carries = self._terms.envelopes and not _is_deletion(packet)
            if carries or (not _said(packet.properties) and not is_sealed(packet)):
                return None
            self._tell("publish.denied", Action.PUBLISH, topic, PROPERTIES_REFUSED)
            return ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
        self._tell_publish(topic, problem)
        return ReasonCode.TOPIC_NAME_INVALID if is_allowed else ReasonCode.NOT_AUTHORIZED

    def _forward(self, packet: Publish) -> None:
        self._published += 1
        said = _said(packet.properties)
        origin = self._asked.origin if self._terms.envelopes and self._is_heard_by_itself(packet) else b""
        if not said and not origin and not is_sealed(packet):
            self.to_broker.append(convert(packet, Version.MQTT_3_1_1))
            return
        expires_ms = None
        if said and said.message_expiry_s is not None:
            expires_ms = expiry_ms(self._terms.clock, said.message_expiry_s)
            said = said._replace(message_expiry_s=None)
        payload = seal(Content(packet.payload, said or NO_PROPERTIES, origin, expires_ms))
        self.to_broker.append(convert(packet, Version.MQTT_3_1_1, payload=payload))

    def _is_heard_by_itself(self, packet: Publish) -> bool:
        """Say whether the device may come to hear its own message where it does not want to."""
        # One that is retained may meet a subscription that is yet to come.
        if _is_deletion(packet):
            return False
        is_kept = packet.retain and self._asked.takes_identifiers
        return is_kept or any(wish.no_local for wish in self._subscriptions.wishes(packet.topic))

    def _acknowledge(self, packet: Publish, code: ReasonCode) -> None:
        """Answer a message in the broker's place."""
        if packet.qos == 1:
            self._inbound.discard(packet.packet_id)
            self.to_device.append(render(Puback(packet.packet_id, code), Version.MQTT_5))
        elif packet.qos == 2:
            if code < ReasonCode.UNSPECIFIED_ERROR:
                self._answered.add(packet.packet_id)
            else:
                self._inbound.discard(packet.packet_id)
            self.to_device.append(render(Pubrec(packet.packet_id, code), Version.MQTT_5))

    def _subscribe(self, packet: Subscribe) -> None:
        if packet.properties.subscription_ids and not self._asked.takes_identifiers:
            for wanted in packet.subscriptions:
                self._tell("subscribe.denied", Action.SUBSCRIBE, wanted.topic_filter, IDENTIFIERS_REFUSED)
            codes = (_FILTER_CODES[IDENTIFIERS_REFUSED],) * len(packet.subscriptions)
            self._say(Suback(packet.packet_id, codes))
        else:
            super()._subscribe(packet)

    def _puback(self, packet: Puback) -> None:
        # What the device made of it is its own affair: also one that it refuses is not sent again [MQTT-4.4.0-1].
        self._window.release(packet.packet_id)
        self.to_broker.append(PUBACK + packet.packet_id.to_bytes(2))

    def _pubrec(self, packet: Pubrec) -> None:
        if packet.reason >= ReasonCode.UNSPECIFIED_ERROR:
            # That was its last word on this message, and in the other version there are two more.
            self._window.release(packet.packet_id)
            self._withheld[packet.packet_id] = None
        self.to_broker.append(PUBREC + packet.packet_id.to_bytes(2))

    def _pubcomp(self, packet: Pubcomp) -> None:
        self._window.release(packet.packet_id)
        self.to_broker.append(PUBCOMP + packet.packet_id.to_bytes(2))

    def _pubrel(self, packet: Pubrel) -> None:
        if packet.packet_id in self._answered:
            self._answered.discard(packet.packet_id)
            self._inbound.discard(packet.packet_id)
            self.to_device.append(PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_broker.append(PUBREL + packet.packet_id.to_bytes(2))

    def _disconnect(self, packet: Disconnect) -> None:
        self.left = packet
        if packet.reason is ReasonCode.NORMAL_DISCONNECTION:
            self.to_broker.append(DISCONNECT)
        raise Ended(Reason.CLIENT_DISCONNECT)

    def _auth(self, _: Auth) -> None:
        raise Ended(Reason.PROTOCOL_ERROR, "AUTH, and no method was agreed on")


def _is_deletion(packet: Publish) -> bool:
    """Say whether a message ends what is retained under its topic."""
    return packet.retain and packet.payload_at == len(packet.raw)


def _said(properties: Properties) -> Properties | None:
    """Return what a message says that MQTT 3.1.1 cannot; None for nothing."""
    if properties is NO_PROPERTIES:
        return None
    if properties.topic_alias is None:
        return properties
    said = properties._replace(topic_alias=None)
    return None if said == NO_PROPERTIES else said


_FROM_DEVICE: Final[Mapping[type[Packet], Callable[[Exchange5, Any], None]]] = {
    Publish: Exchange5._publish,
    Puback: Exchange5._puback,
    Pubrec: Exchange5._pubrec,
    Pubrel: Exchange5._pubrel,
    Pubcomp: Exchange5._pubcomp,
    Subscribe: Exchange5._subscribe,
    Unsubscribe: Exchange5._unsubscribe,
    Pingreq: Exchange5._pingreq,
    Disconnect: Exchange5._disconnect,
    Auth: Exchange5._auth,
}
_FROM_BROKER: Final[Mapping[type[Packet], Callable[[Exchange5, Any], None]]] = {
    Publish: Exchange5._deliver,
    Puback: Exchange5._puback_from_broker,
    Pubrec: Exchange5._pubrec_from_broker,
    Pubrel: Exchange5._pubrel_from_broker,
    Pubcomp: Exchange5._pubcomp_from_broker,
    Suback: Exchange5._suback,
    Unsuback: Exchange5._unsuback,
    Pingresp: Exchange5._pingresp,
}
