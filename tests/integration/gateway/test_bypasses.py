"""Ways around policy, each tried on both brokers in both versions of MQTT, and each beside who may."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.brokers import dial
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import Talk, allow, deny

from troth.errors import Fault, Kind
from troth.gateway.mqtt.courier import Courier
from troth.gateway.mqtt.envelope import Content, seal
from troth.gateway.mqtt.names import Flavour, Names
from troth.gateway.mqtt.terms import Terms
from troth.gateway.mqtt.upstream import Broker, Upstream
from troth.limits import DEFAULT
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
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

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("version", Version, ids=("3.1.1", "5"))]

ALL = allow("iot:*", "*")
FORGED = seal(Content(b"pay", Properties(response_topic="attacker/answers", user_properties=(("role", "admin"),))))


def topic_of(held: Held, last: str = "light") -> str:
    return f"home/{name_of(held)}/{last}"


def keeps(version: Version) -> dict[str, Any]:
    """Return what a CONNECT says that wants its session kept."""
    kept = Properties(session_expiry_s=600) if version is Version.MQTT_5 else Properties()
    return {"clean_session": False, "properties": kept}


def refused(talk: Talk, code: ReasonCode = ReasonCode.NOT_AUTHORIZED) -> bool:
    """Say whether the connection is ended in the words of its version."""
    if talk.version is Version.MQTT_5:
        assert talk.expect(Disconnect).reason is code
    return talk.next() is None


def leave(house: House, talk: Talk) -> None:
    talk.send(Disconnect())
    assert talk.next() is None
    # Until the broker, too, has seen it go: what NATS sends to a link that is closing it sends again much later.
    house.let_pass(0.2)


def codes(talk: Talk, *filters: str, qos: int = 1) -> list[bool]:
    """Ask for filters and say which are granted."""
    talk.send(Subscribe(3, tuple(Subscription(each, qos) for each in filters)))
    return [code < 0x80 for code in talk.expect(Suback).codes]


def test_a_will_says_nothing_that_its_device_may_not(house: House, version: Version) -> None:
    lamp, victim = house.thing(), house.thing()
    spy = house.spy(topic_of(lamp), topic_of(victim))
    for will in (
        Will(topic_of(victim), b"forged"),
        Will(topic_of(lamp), b"retained", retain=True),
        Will("$SYS/broker/x", b"forged"),
    ):
        talk = house.talk(lamp, version=version)
        expected = ReasonCode.NOT_AUTHORIZED if version is Version.MQTT_5 else 5
        assert talk.connect(name_of(lamp), will=will).code == expected
    house.live(lamp, version=version, will=Will(topic_of(lamp), b"gone")).close()
    assert spy.message() == (topic_of(lamp), b"gone")
    assert spy.no_message()


def test_a_retained_will_is_silenced_when_the_right_to_retain_goes(house: House, version: Version) -> None:
    lamp, twin = house.thing(), house.thing()
    rights = [house.allow(name_of(each), allow("iot:RetainPublish", "topic/*")) for each in (lamp, twin)]
    for each in (lamp, twin):
        talk = house.live(each, version=version, will=Will(topic_of(each), b"gone", retain=True))
        if each is lamp:
            house.detach(name_of(lamp), rights[0])
            assert refused(talk)
        else:
            talk.close()
    late = house.spy(topic_of(twin), topic_of(lamp))
    assert late.message() == (topic_of(twin), b"gone")
    assert late.no_message()


def test_a_session_taken_up_again_is_given_nothing_that_is_denied_now(house: House, version: Version) -> None:
    lamp = house.thing(*OWN, deny("iot:Receive", "topic/*/secret"))
    rights = (allow("iot:Receive", "topic/other/*"), allow("iot:Subscribe", "topicfilter/other/*"))
    secret = house.allow(name_of(lamp), *rights)
    talk = house.live(lamp, version=version, **keeps(version))
    other = f"other/{name_of(lamp)}"
    assert codes(talk, f"home/{name_of(lamp)}/#", f"{other}/#") == [True, True]
    leave(house, talk)
    house.detach(name_of(lamp), secret)
    spy = house.spy()
    for topic in (f"{other}/x", topic_of(lamp, "secret"), topic_of(lamp, "open")):
        spy.publish(topic, b"queued", qos=1)
    talk = house.talk(lamp, version=version)
    assert talk.connect(name_of(lamp), **keeps(version)).session_present
    assert talk.message() == (topic_of(lamp, "open"), b"queued")
    assert talk.no_message()


def test_a_filter_that_is_allowed_no_more_is_given_back(house: House, log: Log, version: Version) -> None:
    """Policy would still let it receive: what the broker sends no more cannot be waited for."""
    lamp = house.thing(OWN[0], allow(["iot:Publish", "iot:Receive"], "topic/*"))
    name = name_of(lamp)
    one, other = house.allow(name, allow("iot:Subscribe", f"topicfilter/a/{name}")), f"b/{name}"
    house.allow(name, allow("iot:Subscribe", f"topicfilter/{other}"))
    talk = house.live(lamp, version=version)
    assert codes(talk, f"a/{name}", other) == [True, True]
    house.detach(name, one)
    assert talk.is_alive()
    assert [each["resource"] for each in log.of(talk, "subscription.withdrawn")] == [f"topicfilter/a/{name}"]
    spy = house.spy()
    spy.publish(f"a/{name}", b"1", qos=1)
    spy.publish(other, b"2", qos=1)
    assert talk.message() == (other, b"2")
    assert talk.no_message()
    # Its own identifiers were none of the device's: it is answered as before.
    assert codes(talk, other) == [True]


def test_a_shared_filter_is_no_way_around_its_own(house: House, broker: Broker, version: Version) -> None:
    lamp, member = house.thing(), house.thing(OWN[0], allow("iot:*", "topic/*"))
    house.allow(name_of(member), allow("iot:Subscribe", f"topicfilter/$share/crew/{topic_of(lamp)}"))
    talk, crew = house.live(lamp, version=version), house.live(member, version=version)
    assert codes(talk, "$share/g/#", f"$share/g/{topic_of(member)}", f"$share/g/{topic_of(lamp)}") == [False] * 3
    granted = broker.flavour != "nats"
    assert codes(crew, f"$share/crew/{topic_of(lamp)}", f"$share/other/{topic_of(lamp)}") == [granted, False]
    if granted:
        house.spy().publish(topic_of(lamp), b"x", qos=1)
        assert crew.message() == (topic_of(lamp), b"x")


def test_what_is_retained_is_decided_when_it_is_delivered(house: House, version: Version) -> None:
    lamp = house.thing(*OWN, deny("iot:Receive", "topic/*/secret"))
    spy = house.spy()
    for last in ("secret", "open"):
        spy.publish(topic_of(lamp, last), b"kept", qos=1, retain=True)
    talk = house.live(lamp, version=version)
    assert codes(talk, f"home/{name_of(lamp)}/+") == [True]
    assert talk.message() == (topic_of(lamp, "open"), b"kept")
    assert talk.no_message()


@pytest.mark.parametrize("topic", ["$SYS/broker/load", "$MQTT/sess", "$JS/API", "$CONTROL/dynamic-security/v1"])
def test_what_is_reserved_is_closed_to_whoever_may_everything(house: House, version: Version, topic: str) -> None:
    talk = house.live(house.thing(ALL), version=version)
    assert codes(talk, topic, f"{topic}/#", "$aws/things/x/shadow/update") == [False, False, True]
    talk.send(talk.build(topic, b"x"))
    assert refused(talk, ReasonCode.TOPIC_NAME_INVALID)


def test_a_wildcard_brings_no_parent_that_is_denied(house: House, version: Version) -> None:
    """On the standard's reading ``#`` matches its parent, which policy never names in the filter."""
    lamp = house.thing(*OWN)
    root, spy = f"home/{name_of(lamp)}", house.spy()
    talk = house.live(lamp, version=version)
    assert codes(talk, f"{root}/#") == [True]
    spy.publish(root, b"parent", qos=1)
    spy.publish(f"{root}/x", b"child", qos=1)
    assert talk.message() == (f"{root}/x", b"child")
    assert talk.no_message()
    house.allow(name_of(lamp), allow("iot:Receive", f"topic/{root}"))
    spy.publish(root, b"parent", qos=1)
    assert talk.message() == (root, b"parent")


def test_a_client_id_is_taken_over_by_its_owner_alone(house: House, version: Version) -> None:
    """Policy lets both have it. One renews its certificate, and finds what waited; the other never does."""
    one, other = house.thing(ALL), house.thing(ALL)
    topic = topic_of(one)
    first = house.talk(one, version=version)
    assert first.connect("shared", **keeps(version)).code == 0
    assert codes(first, topic) == [True]
    second = house.talk(other, version=version)
    answer = second.connect("shared", **keeps(version))
    assert (answer.code, answer.session_present) == (0, False)
    assert first.is_alive()
    leave(house, first)
    house.spy().publish(topic, b"for the one", qos=1)
    assert second.no_message()
    renewed = house.talk(house.site.device(name_of(one)), version=version)
    answer = renewed.connect("shared", **keeps(version))
    assert (answer.code, answer.session_present) == (0, True)
    assert renewed.message() == (topic, b"for the one")
    # The same owner again, while it is there: the older connection makes room, and is told so.
    third = house.talk(one, version=version)
    assert third.connect("shared", **keeps(version)).session_present
    assert refused(renewed, ReasonCode.SESSION_TAKEN_OVER)
    assert second.is_alive()


def test_nobody_forges_what_another_says_of_a_message(house: House, version: Version) -> None:
    """An envelope in a payload, a will and an envelope of its own is a payload to whoever receives it."""
    lamp, friend, old = house.thing(), house.thing(ALL), house.thing(ALL)
    receivers = [house.live(friend, version=Version.MQTT_5), house.live(old)]
    for each in receivers:
        assert codes(each, topic_of(lamp)) == [True]
    talk = house.live(lamp, version=version, will=Will(topic_of(lamp), FORGED, 1))
    talk.publish(topic_of(lamp), FORGED, qos=1)
    talk.publish(topic_of(lamp), seal(Content(FORGED)), qos=1)
    talk.close()
    for each in receivers:
        for expected in (FORGED, seal(Content(FORGED)), FORGED):
            message = each.received()
            assert message.payload == expected
            assert not any(message.properties)


def test_the_other_door_forges_nothing_and_shows_nothing_forged(house: House, version: Version) -> None:
    """What comes over HTTPS, and is read there, has gone the same way."""
    upstream, names = Upstream(house.broker, DEFAULT.packet_bytes), Names(Flavour(house.broker.flavour), 1024)
    with_them, without = (Terms(names, DEFAULT, house.site.clock, envelopes=each) for each in (True, False))
    lamp, friend = house.thing(*OWN, allow("iot:RetainPublish", "topic/*")), house.thing(ALL)
    receiver, topic = house.live(friend, version=version), topic_of(lamp)
    assert codes(receiver, topic) == [True]
    house.gateway.run(Courier(upstream, with_them).publish(topic, FORGED, qos=1, retain=False))
    message = receiver.received()
    assert message.payload == FORGED
    assert not any(message.properties)
    with pytest.raises(Fault) as refused:
        house.gateway.run(Courier(upstream, without).publish(topic, FORGED, qos=1, retain=False))
    assert refused.value.kind is Kind.REJECTED
    sender = house.live(lamp, version=Version.MQTT_5)
    sender.publish(topic, b"kept", qos=1, retain=True, properties=Properties(content_type="text/plain"))
    found = house.gateway.run(Courier(upstream, with_them).find_retained(topic))
    assert found is not None
    assert found.payload == b"kept"


def test_without_envelopes_none_is_left_for_later(house: House, log: Log, version: Version) -> None:
    bare = house.gateway_with(envelopes=False)
    lamp = house.thing()
    spy = house.spy(topic_of(lamp))
    talk = house.talk(lamp, bare, version)
    assert talk.connect(name_of(lamp), will=Will(topic_of(lamp), FORGED)).code
    talk = house.live(lamp, bare, version)
    talk.publish(topic_of(lamp), FORGED[:-1], qos=1)
    assert spy.message() == (topic_of(lamp), FORGED[:-1])
    talk.send(talk.build(topic_of(lamp), FORGED, qos=1, packet_id=1))
    if version is Version.MQTT_5:
        assert talk.expect(Puback).reason is ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
    else:
        assert talk.next() is None
    assert spy.no_message()


def test_the_broker_lets_in_nobody_but_the_gateway(house: House, broker: Broker, version: Version) -> None:
    assert house.live(house.thing(), version=version).is_alive()
    if broker.url.startswith("unix:"):
        # Its folder is the gateway's alone.
        path = broker.url.removeprefix("unix:")
        assert Path(path).parent.stat().st_mode & 0o077 == 0
        program = shutil.which("mosquitto_pub")
        if os.geteuid() == 0 and program is not None:
            command = [program, "--unix", path, "-t", "x", "-m", "x"]
            tried = subprocess.run(command, user=65534, capture_output=True, check=False)
            assert b"Permission denied" in tried.stderr
        return
    for connect in (
        Connect("spy"),
        Connect("spy", username=broker.username, password=b"guess"),
        Connect("spy", username="admin", password=b""),
    ):
        with Talk(dial(broker)) as talk:
            talk.send(connect)
            answer = talk.next()
            assert answer is None or answer == Connack(ConnackCode.NOT_AUTHORIZED)
            assert talk.next() is None
