"""`[compat] aws = true`: each departure of AWS IoT from the standard, beside what the standard does by default."""

import pytest
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import OWN, House, name_of
from tests.fixtures.mqtt import Talk, allow

from troth.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Properties,
    Puback,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from troth.testing.authority import Held

pytestmark = pytest.mark.slow
VERSIONS = pytest.mark.parametrize("version", Version, ids=("3.1.1", "5"))
RETAINS = allow("iot:RetainPublish", "topic/*")


@pytest.fixture
def aws(house: House) -> RunningGateway:
    """A gateway that speaks MQTT as AWS does."""
    return house.gateway_with(aws=True)


def root(held: Held) -> str:
    return f"home/{name_of(held)}"


def heard(house: House, gateway: RunningGateway, version: Version) -> Talk:
    """Return a device that listens to everything below its own topic, and what was sent there meanwhile."""
    lamp = house.thing(*OWN, RETAINS, allow(["iot:Publish", "iot:Receive"], "topic/home/*"))
    spy = house.spy()
    spy.publish(f"{root(lamp)}/kept", b"kept", qos=1, retain=True)
    talk = house.live(lamp, gateway, version)
    assert talk.subscribe(f"{root(lamp)}/#", qos=1) == (1,)
    spy.publish(root(lamp), b"parent", qos=1)
    spy.publish(f"{root(lamp)}/x", b"child", qos=1)
    return talk


@VERSIONS
def test_a_wildcard_matches_neither_its_parent_nor_what_is_retained(
    house: House, aws: RunningGateway, version: Version
) -> None:
    talk = heard(house, aws, version)
    assert talk.message()[1] == b"child"
    assert talk.no_message()
    talk = heard(house, house.gateway, version)
    assert {talk.message()[1] for _ in range(3)} == {b"kept", b"parent", b"child"}


@VERSIONS
def test_what_is_retained_goes_to_its_own_name(house: House, aws: RunningGateway, version: Version) -> None:
    lamp = house.thing(*OWN, RETAINS)
    talk = house.live(lamp, aws, version)
    talk.publish(f"{root(lamp)}/x", b"kept", qos=1, retain=True)
    assert talk.subscribe(f"{root(lamp)}/x", qos=1) == (1,)
    assert talk.message() == (f"{root(lamp)}/x", b"kept")


@VERSIONS
def test_qos_2_is_not_offered(house: House, aws: RunningGateway, version: Version) -> None:
    lamp = house.thing()
    for packet in ("publish", "subscribe"):
        talk = house.live(house.thing(), aws, version)
        if packet == "publish":
            talk.send(talk.build(f"{root(lamp)}/x", b"x", qos=2, packet_id=1))
        else:
            talk.send(Subscribe(1, (Subscription(f"{root(lamp)}/x", 2),)))
        if version is Version.MQTT_5:
            assert talk.expect(Disconnect).reason is ReasonCode.QOS_NOT_SUPPORTED
        assert talk.next() is None
    will = Will(f"{root(lamp)}/x", b"x", 2)
    talk = house.talk(lamp, aws, version)
    if version is Version.MQTT_5:
        assert talk.connect(name_of(lamp), will=will).code is ReasonCode.QOS_NOT_SUPPORTED
        told = house.talk(lamp, aws, version).connect(name_of(lamp)).properties
        assert (told.maximum_qos, told.subscription_identifier_available) == (1, False)
    else:
        assert house.talk(lamp, version=version).connect(name_of(lamp), will=will).code == 0


@VERSIONS
def test_nothing_is_retained_on_reserved_topics(house: House, aws: RunningGateway, version: Version) -> None:
    lamp = house.thing(allow("iot:*", "*"))
    topic = f"$aws/things/{name_of(lamp)}/shadow/update"
    talk = house.live(lamp, aws, version)
    talk.publish(topic, b"{}", qos=1)
    talk.send(talk.build(topic, b"{}", qos=1, packet_id=1, retain=True))
    if version is Version.MQTT_5:
        assert talk.expect(Puback).reason is ReasonCode.TOPIC_NAME_INVALID
    else:
        assert talk.next() is None
    house.live(house.thing(allow("iot:*", "*")), version=version).publish(topic, b"", qos=1, retain=True)


def test_keep_alives_are_between_30_and_1200_seconds(house: House, aws: RunningGateway) -> None:
    for asked, told in ((0, 1200), (1, 30), (29, 30), (30, None), (1200, None), (1201, 1200)):
        lamp = house.thing()
        connack = house.talk(lamp, aws, Version.MQTT_5).connect(name_of(lamp), keep_alive_s=asked)
        assert connack.properties.server_keep_alive_s == told


@VERSIONS
def test_a_refused_connect_is_closed_without_a_word(house: House, aws: RunningGateway, version: Version) -> None:
    lamp, other = house.thing(), house.thing()
    for gateway in (aws, house.gateway):
        talk = house.talk(lamp, gateway, version)
        talk.send(Connect(name_of(other), version=version))
        if version is Version.MQTT_5:
            assert talk.expect(Connack).code is ReasonCode.NOT_AUTHORIZED
        elif gateway is house.gateway:
            assert talk.expect(Connack).code == 5
        assert talk.next() is None


def test_subscription_identifiers_are_not_offered(house: House, aws: RunningGateway) -> None:
    lamp = house.thing()
    talk = house.live(lamp, aws, Version.MQTT_5)
    asked = Subscribe(1, (Subscription(f"{root(lamp)}/x"),), Properties(subscription_ids=(1,)))
    talk.send(asked)
    assert talk.expect(Suback).codes == (ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,)
