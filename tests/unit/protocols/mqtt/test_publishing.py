"""A message is written anew with nothing lost but what is meant to be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protocols.mqtt import packet_strategies, packet_strategies5
from tests.unit.protocols.mqtt.feeding import feed, new_reader

from troth.errors import Kind, OurFault
from troth.protocols.mqtt import (
    NO_PROPERTIES,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    ReasonCode,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Version,
    Will,
    build_publish,
    convert,
    render,
)
from troth.protocols.mqtt.property_table import Place

V3, V5 = Version.MQTT_3_1_1, Version.MQTT_5
SOME = Properties(reason_string="r")


def read(data: bytes, version: Version) -> Publish:
    (packet,) = feed(new_reader(Role.CLIENT, version=version), [data]).packets
    assert isinstance(packet, Publish)
    return packet


@settings(max_examples=50, deadline=None)
@given(packet_strategies5.publishes(Place.TO_SERVER))
def test_5_to_3_1_1_and_back(publish: Publish) -> None:
    plain = read(convert(publish, V3), V3)
    assert plain.properties is NO_PROPERTIES
    assert plain[1:5] == publish[1:5]
    assert (plain.payload, plain.dup) == (publish.payload, publish.dup)
    assert convert(plain, V5, publish.properties) == publish.raw


@settings(max_examples=50, deadline=None)
@given(packet_strategies.publishes(), packet_strategies.TOPICS, st.sampled_from(Version))
def test_the_topic_and_the_payload_can_be_others(publish: Publish, topic: str, version: Version) -> None:
    other = read(convert(publish, version, topic=topic), version)
    assert other.topic == topic
    assert (other[2:5], other.payload, other.dup) == (publish[2:5], publish.payload, publish.dup)
    other = read(convert(publish, version, payload=b"other" + publish.payload), version)
    assert (other[1:5], other.payload, other.dup) == (publish[1:5], b"other" + publish.payload, publish.dup)


def test_properties_are_refused_where_there_are_none() -> None:
    with pytest.raises(OurFault):
        build_publish("a", b"", properties=Properties(content_type="x"))
    with pytest.raises(OurFault):
        convert(build_publish("a", b""), V3, Properties(content_type="x"))
    with pytest.raises(OurFault):
        convert(build_publish("a", b""), V5, Properties(topic_alias=0))
    with pytest.raises(OurFault):
        convert(build_publish("a", b""), V5, topic="a/#")


@pytest.mark.parametrize(
    "packet",
    [
        Connect("a", version=V5),
        Connect("a", properties=Properties(receive_maximum=3)),
        Connect("a", will=Will("t", b"", properties=Properties(will_delay_s=1))),
        Connack(ReasonCode.NOT_AUTHORIZED),
        Connack(ReasonCode.SUCCESS, properties=SOME),
        Puback(1, ReasonCode.NOT_AUTHORIZED),
        Puback(1, properties=SOME),
        Subscribe(1, (Subscription("a", no_local=True),)),
        Subscribe(1, (Subscription("a", retain_as_published=True),)),
        Subscribe(1, (Subscription("a", retain_handling=1),)),
        Subscribe(1, (Subscription("a"),), Properties(subscription_ids=(1,))),
        Suback(1, (0,), SOME),
        Unsuback(1, (0,)),
        Disconnect(ReasonCode.DISCONNECT_WITH_WILL),
    ],
    ids=lambda packet: repr(packet)[:60],
)
def test_3_1_1_loses_nothing_silently(packet: Packet) -> None:
    with pytest.raises(OurFault) as caught:
        render(packet)
    assert caught.value.kind is Kind.UNSUPPORTED


@pytest.mark.parametrize(
    "packet",
    [
        Connect("a"),
        Connack(ReasonCode.GRANTED_QOS_1),
        Connack(ReasonCode.NOT_AUTHORIZED, session_present=True),
        Puback(1, ReasonCode.MALFORMED_PACKET),
        Subscribe(1, ()),
        Subscribe(1, (Subscription("$share//a"),)),
        Subscribe(1, (Subscription("$share/g/a", no_local=True),)),
        Subscribe(1, (Subscription("a", retain_handling=3),)),
        Suback(1, ()),
        Suback(1, (3,)),
        Unsuback(1, ()),
        Disconnect(ReasonCode.GRANTED_QOS_1),
        Connect("a", version=V5, properties=Properties(authentication_data=b"")),
    ],
    ids=lambda packet: repr(packet)[:60],
)
def test_what_5_cannot_say_is_our_fault(packet: Packet) -> None:
    with pytest.raises(OurFault) as caught:
        render(packet, V5)
    assert caught.value.kind is Kind.MALFORMED
