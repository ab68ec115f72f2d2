"""What a live session may send and is given, and what it is not: each attack beside an honest twin."""

import pytest
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import Talk, allow, deny

from troth.gateway.mqtt.upstream import Broker
from troth.protocols.mqtt import (
    Puback,
    Pubcomp,
    Pubrec,
    Pubrel,
    Unsuback,
    Unsubscribe,
    build_publish,
)
from troth.testing.authority import Held

ALL = allow("iot:*", "*")


def topic_of(held: Held, last: str = "light") -> str:
    return f"home/{name_of(held)}/{last}"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_publish_as_another_ends_the_connection(house: House, log: Log, qos: int) -> None:
    victim, impostor = house.thing(), house.thing()
    spy = house.spy(topic_of(victim))
    talk = house.live(impostor)
    talk.send(
        build_publish(topic_of(impostor), b"fine", qos=0),
        build_publish(topic_of(victim), b"forged", qos=qos, packet_id=9 if qos else 0),
        build_publish(topic_of(impostor), b"too late", qos=0),
    )
    assert talk.is_closed()
    (event,) = log.of(talk, "publish.denied")
    assert (event["action"], event["resource"]) == ("iot:Publish", f"topic/{topic_of(victim)}")
    assert event["certificate_id"] == impostor.certificate_id
    assert event["thing"] == name_of(impostor)
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["publish-denied"]
    house.live(victim).publish(topic_of(victim), b"true")
    assert spy.message() == (topic_of(victim), b"true")


def test_what_was_sent_before_a_denied_publish_still_goes(house: House) -> None:
    lamp = house.thing()
    spy = house.spy(topic_of(lamp))
    talk = house.live(lamp)
    talk.send(build_publish(topic_of(lamp), b"before"), build_publish("elsewhere", b"denied"))
    assert talk.is_closed()
    assert spy.message() == (topic_of(lamp), b"before")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_publish_may_be_dropped_instead(house: House, log: Log, qos: int) -> None:
    dropping = house.gateway_with(drops_denied=True)
    lamp = house.thing()
    spy = house.spy(topic_of(lamp), "elsewhere/#")
    talk = house.live(lamp, dropping)
    talk.publish("elsewhere/x", b"denied", qos=qos)
    talk.publish("elsewhere/x", b"denied", qos=qos)
    talk.publish(topic_of(lamp), b"allowed", qos=qos)
    assert spy.message() == (topic_of(lamp), b"allowed")
    assert len(log.of(talk, "publish.denied")) == 2
    assert talk.is_alive()


def test_retaining_needs_its_own_right(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    talk.send(build_publish(topic_of(lamp), b"kept", retain=True))
    assert talk.is_closed()
    (event,) = log.of(talk, "publish.denied")
    assert event["action"] == "iot:RetainPublish"
    house.allow(name_of(lamp), allow("iot:RetainPublish", f"topic/{topic_of(lamp)}"))
    house.live(lamp).publish(topic_of(lamp), b"kept", retain=True, qos=1)
    late = house.spy(topic_of(lamp))
    assert late.message() == (topic_of(lamp), b"kept")


def test_retaining_alone_is_not_publishing(house: House) -> None:
    lamp = house.thing(OWN[0], allow("iot:RetainPublish", "topic/*"))
    talk = house.live(lamp)
    talk.send(build_publish(topic_of(lamp), b"x", retain=True))
    assert talk.is_closed()


def test_each_filter_is_decided_and_answered_in_order(house: House, log: Log) -> None:
    lamp, other = house.thing(), house.thing()
    talk = house.live(lamp)
    codes = talk.subscribe(
        topic_of(lamp), "#", topic_of(other), "$share/x/#", f"home/{name_of(lamp)}/#", "+/+/+", qos=1
    )
    assert codes == (1, 128, 128, 128, 1, 128)
    denied = [each["resource"] for each in log.of(talk, "subscribe.denied")]
    assert denied == [f"topicfilter/{each}" for each in ("#", topic_of(other), "$share/x/#", "+/+/+")]
    house.spy().publish(topic_of(other), b"not for you", qos=1)
    house.spy().publish(topic_of(lamp), b"for you", qos=1)
    assert talk.message() == (topic_of(lamp), b"for you")


def test_nothing_allowed_is_answered_by_the_gateway_alone(house: House) -> None:
    talk = house.live(house.thing())
    assert talk.subscribe("#", "$SYS/#", qos=1) == (128, 128)
    assert talk.is_alive()


def test_a_filter_that_is_given_back_delivers_no_more(house: House) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    assert talk.subscribe(topic_of(lamp, "a"), topic_of(lamp, "b")) == (0, 0)
    talk.send(Unsubscribe(5, (topic_of(lamp, "a"),)))
    assert talk.expect(Unsuback).packet_id == 5
    spy = house.spy()
    spy.publish(topic_of(lamp, "a"), b"1", qos=1)
    spy.publish(topic_of(lamp, "b"), b"2", qos=1)
    assert talk.message() == (topic_of(lamp, "b"), b"2")
    talk.send(Unsubscribe(6, ("$SYS/#",)))
    assert talk.expect(Unsuback).packet_id == 6


@pytest.mark.parametrize(
    "topic",
    [
        "$JS/API/STREAM/NAMES",
        "$JS/API/STREAM/DELETE/$MQTT_msgs",
        "$SYS/REQ/SERVER/PING",
        "$MQTT/JSA/x",
        "$MQTT/msgs/a",
        "$CONTROL/dynamic-security/v1",
        "$aws.x/a",
        "$",
    ],
)
def test_the_brokers_own_topics_are_closed_whatever_policy_says(house: House, log: Log, topic: str) -> None:
    omnipotent = house.thing(ALL)
    talk = house.live(omnipotent)
    assert talk.subscribe(topic, f"{topic}/#") == (128, 128)
    talk.send(build_publish(topic, b""))
    assert talk.is_closed()
    (event,) = log.of(talk, "publish.denied")
    assert (event["reason"], event["resource"]) == ("topic-reserved", f"topic/{topic}")
    assert {each["reason"] for each in log.of(talk, "subscribe.denied")} <= {"topic-reserved", "shared-subscription"}


def test_topics_of_aws_pass(house: House) -> None:
    lamp = house.thing(ALL)
    topic = f"$aws/things/{name_of(lamp)}/shadow/update"
    talk = house.live(lamp)
    assert talk.subscribe(topic, "$aws/things/+/shadow/#") == (0, 0)
    talk.publish(topic, b"{}")
    assert talk.message() == (topic, b"{}")


def test_a_wildcard_reaches_no_reserved_topic(house: House, broker: Broker) -> None:
    everything = house.live(house.thing(ALL))
    assert everything.subscribe("#", "+/API/#", "+/broker/#") == (0, 0, 0)
    probe = house.thing(ALL)
    spy = house.spy()
    if broker.flavour == "nats":
        spy.publish("$SYS/broker/x", b"secret", qos=1)
    topic = f"{name_of(probe)}/API/x"
    spy.publish(topic, b"open", qos=1)
    seen = everything.message()
    while seen[0] != topic:
        assert not seen[0].startswith("$")
        seen = everything.message()


@pytest.mark.parametrize("topic", ["a/*", "a/>", "*", ">", "a/b>c", "a b", "_INBOX/x"])
def test_nats_is_not_shown_what_it_would_read_otherwise(house: House, log: Log, broker: Broker, topic: str) -> None:
    lamp = house.thing(ALL)
    talk = house.live(lamp)
    if broker.flavour == "nats":
        assert talk.subscribe(topic) == (128,)
        talk.send(build_publish(topic, b"x"))
        assert talk.is_closed()
        (event,) = log.of(talk, "publish.denied")
        assert event["reason"] in {"topic-not-carried", "topic-reserved"}
    else:
        own = f"{name_of(lamp)}/{topic}"
        assert talk.subscribe(own) == (0,)
        talk.publish(own, b"x")
        assert talk.message() == (own, b"x")


@pytest.mark.parametrize("character", ["\x01", "\t", "\x1f", "\x7f", "\x9f", "\ufdd0", "\uffff", "\U0010fffe"])
def test_what_is_no_text_goes_to_no_broker(house: House, log: Log, character: str) -> None:
    lamp = house.thing(ALL)
    talk = house.live(lamp)
    assert talk.subscribe(f"a/{character}", topic_of(lamp)) == (128, 0)
    talk.send(build_publish(f"a/{character}", b"x"))
    assert talk.is_closed()
    (event,) = log.of(talk, "publish.denied")
    assert event["reason"] == "topic-not-carried"


def test_shared_subscriptions_where_the_broker_has_them(house: House, broker: Broker) -> None:
    lamp = house.thing(ALL)
    talk = house.live(lamp)
    shared = f"$share/group/{topic_of(lamp)}"
    codes = talk.subscribe(shared, "$share/group/$SYS/#", "$share/+/x", "$share/group", "$share/g/$share/h/x")
    if broker.flavour == "nats":
        assert codes == (128, 128, 128, 128, 128)
        return
    assert codes == (0, 128, 128, 128, 128)
    house.spy().publish(topic_of(lamp), b"x", qos=1)
    assert talk.message() == (topic_of(lamp), b"x")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_delivery_is_kept_back_and_the_flow_goes_on(house: House, log: Log, qos: int) -> None:
    """More denied ones than any broker leaves unanswered, so that they would dam up what is allowed."""
    lamp = house.thing(*OWN, deny("iot:Receive", "topic/*/secret"))
    talk = house.live(lamp)
    assert talk.subscribe(f"home/{name_of(lamp)}/#", qos=qos) == (qos,)
    spy = house.spy()
    _publish_many(spy, topic_of(lamp, "secret"), 1100, qos)
    spy.publish(topic_of(lamp, "open"), b"for you", qos=qos)
    assert talk.message() == (topic_of(lamp, "open"), b"for you")
    assert talk.no_message()
    told = log.of(talk, "receive.denied")
    assert told[0]["resource"] == f"topic/{topic_of(lamp, 'secret')}"
    assert len(told) < 1100


def _publish_many(spy: Talk, topic: str, count: int, qos: int) -> None:
    step = 50
    for start in range(0, count, step):
        ids = range(start + 1, start + step + 1)
        spy.send(*(build_publish(topic, b"x", qos=qos, packet_id=each if qos else 0) for each in ids))
        if qos == 1:
            assert {spy.expect(Puback).packet_id for _ in ids} == set(ids)
        elif qos == 2:
            assert {spy.expect(Pubrec).packet_id for _ in ids} == set(ids)
            spy.send(*(Pubrel(each) for each in ids))
            assert {spy.expect(Pubcomp).packet_id for _ in ids} == set(ids)


def test_a_retained_message_is_decided_when_it_is_delivered(house: House) -> None:
    lamp = house.thing(*OWN, deny("iot:Receive", "topic/*/secret"))
    spy = house.spy()
    spy.publish(topic_of(lamp, "secret"), b"kept", qos=1, retain=True)
    spy.publish(topic_of(lamp, "open"), b"kept too", qos=1, retain=True)
    talk = house.live(lamp)
    assert talk.subscribe(f"home/{name_of(lamp)}/#", qos=1) == (1,)
    assert talk.message() == (topic_of(lamp, "open"), b"kept too")
    assert talk.no_message()


def test_a_resumed_session_is_given_nothing_that_is_denied_now(house: House) -> None:
    lamp = house.thing(*OWN[:1], *OWN[2:])
    receive = house.allow(name_of(lamp), allow("iot:Receive", "topic/*"))
    talk = house.live(lamp, clean_session=False)
    assert talk.subscribe(f"home/{name_of(lamp)}/#", qos=1) == (1,)
    talk.send(bytes.fromhex("e000"))
    assert talk.is_closed()
    house.detach(name_of(lamp), receive)
    house.spy().publish(topic_of(lamp), b"queued", qos=1)
    again = house.talk(lamp)
    assert again.connect(name_of(lamp), clean_session=False).session_present
    assert again.no_message()


def test_the_bounds_on_subscriptions_hold(house: House, log: Log) -> None:
    strict = house.gateway_with(filters_per_subscribe_max=3, subscriptions_per_connection_max=4, topic_bytes_max=40)
    lamp = house.thing()
    talk = house.live(lamp, strict)
    own = [topic_of(lamp, f"{place}") for place in range(6)]
    assert talk.subscribe(*own[:4]) == (0, 0, 0, 128)
    assert talk.subscribe(own[3], own[4], packet_id=2) == (0, 128)
    assert talk.subscribe(own[0], packet_id=3) == (0,)
    talk.send(Unsubscribe(4, (own[0],)))
    assert talk.expect(Unsuback).packet_id == 4
    assert talk.subscribe(own[4], topic_of(lamp, "x" * 40), packet_id=5) == (0, 128)
    reasons = [each["reason"] for each in log.of(talk, "subscribe.denied")]
    assert reasons == ["too-many-filters", "too-many-subscriptions", "topic-too-long"]


def test_a_large_message_passes_whole_and_a_larger_one_does_not(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    assert talk.subscribe(topic_of(lamp), qos=1) == (1,)
    largest = bytes(range(256)) * 1023
    talk.publish(topic_of(lamp), largest, qos=1)
    assert talk.message() == (topic_of(lamp), largest)
    talk.send(build_publish(topic_of(lamp), b"\0" * 256 * 1024))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["packet-too-large"]


def test_garbage_in_a_live_session_ends_it_and_no_other(house: House, log: Log) -> None:
    lamp, other = house.thing(), house.thing()
    neighbour = house.live(other)
    for garbage in (b"\x00\x00", b"\x3f\x02ab", b"\x62\x02\x00\x00", b"\x82\x05\x00\x01\x00\x00\x00", b"\xc0\x01x"):
        talk = house.live(lamp)
        talk.send(garbage)
        assert talk.is_closed()
        assert [each["reason"] for each in log.of(talk, "session.closed")] == ["protocol-error"]
    assert neighbour.is_alive()
