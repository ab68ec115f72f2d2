"""PUBLISH made of parts, and of another PUBLISH: what a gateway between two versions needs. Knows no stream."""

from troth.errors import Kind, OurFault
from troth.protocols.mqtt import encoding
from troth.protocols.mqtt.header import render_length
from troth.protocols.mqtt.packet_types import PacketType, Version
from troth.protocols.mqtt.packets import Publish
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.property_table import Place, render_properties


def build_publish(
    topic: str,
    payload: bytes,
    *,
    qos: int = 0,
    retain: bool = False,
    dup: bool = False,
    packet_id: int = 0,
    version: Version = Version.MQTT_3_1_1,
    properties: Properties = NO_PROPERTIES,
) -> Publish:
    """Make a message of our own. `packet_id` is 1 to 65,535 when `qos` is 1 or 2, else 0; `dup` needs a `qos`.

    Raises `OurFault`: malformed for what the protocol cannot say, too large for what does not fit a packet.
    """
    head = encoding.topic(topic)
    if qos:
        head += encoding.packet_id(packet_id)
    elif packet_id or dup:
        raise OurFault(Kind.MALFORMED, "a message of QoS 0 has neither a packet identifier nor DUP")
    head += _properties(properties, version)
    raw = encoding.packet(PacketType.PUBLISH, head + payload, dup << 3 | encoding.qos(qos) << 1 | retain)
    return Publish(raw, topic, qos, retain, packet_id, len(raw) - len(payload), properties)


def convert(
    packet: Publish,
    version: Version,
    properties: Properties = NO_PROPERTIES,
    *,
    topic: str | None = None,
    payload: bytes | None = None,
) -> bytes:
    """Write a message that was read anew: in `version`, with `properties` in place of its own, and so for the others.

    Its QoS, flags and packet identifier stay, and what is not given is copied as it came. Raises `OurFault` as
    `build_publish`.
    """
    raw, _, qos, _, packet_id, at, _ = packet
    start = 2
    while raw[start - 1] > 0x7F:
        start += 1
    name = raw[start + 2 : start + 2 + (raw[start] << 8 | raw[start + 1])]
    if topic is None and name:
        # What stands before the properties is the same in both versions.
        head = raw[start : start + len(name) + (4 if qos else 2)]
    else:
        head = encoding.topic(packet.topic if topic is None else topic)
        if qos:
            head += packet_id.to_bytes(2)
    if version is Version.MQTT_5 and properties is NO_PROPERTIES:
        head += b"\0"
    else:
        head += _properties(properties, version)
    if payload is None:
        payload = raw[at:]
    length = encoding.remaining_length(PacketType.PUBLISH, len(head) + len(payload))
    return b"".join((raw[:1], render_length(length), head, payload))


def _properties(properties: Properties, version: Version) -> bytes:
    if version is Version.MQTT_5:
        if properties.topic_alias == 0:
            raise OurFault(Kind.MALFORMED, "a topic alias is 0")
        # To a client more may be said than to a server; which of them it is, the caller knows.
        return render_properties(properties, Place.TO_CLIENT)
    if properties is not NO_PROPERTIES and properties != NO_PROPERTIES:
        raise OurFault(Kind.MALFORMED, "MQTT 3.1.1 has no properties")
    return b""
