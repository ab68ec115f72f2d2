"""What becomes of each feature of MQTT 5 behind a broker of 3.1.1: a test for each row of the table in docs/mqtt.md."""

from typing import Any

import pytest
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import Talk, allow

from troth.gateway.mqtt.upstream import Broker
from troth.limits import DEFAULT
from troth.protocols.mqtt import (
    SESSION_NEVER_EXPIRES,
    Auth,
    Connack,
    Disconnect,
    Properties,
    Puback,
    Publish,
    Pubrec,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
    build_publish,
)
from troth.testing.authority import Held

pytestmark = pytest.mark.slow

FIVE = Version.MQTT_5
SAID = Properties(
    payload_is_text=True,
    content_type="text/plain",
    response_topic="home/answers",
    correlation_data=b"\x00\x01",
    user_properties=(("colour", "red"), ("colour", "blue")),
)
ALL = allow("iot:*", "*")
KEPT = Properties(session_expiry_s=600)
SETTLED_S = 0.5
"""Until the broker, too, has seen a device go: what NATS sends to a link that is closing it sends again much later."""


def topic_of(held: Held, last: str = "light") -> str:
    return f"home/{name_of(held)}/{last}"


def live5(house: House, held: Held, gateway: RunningGateway | None = None, **fields: Any) -> Talk:
    return house.live(held, gateway, FIVE, **fields)


def connack(house: House, held: Held, gateway: RunningGateway | None = None, **fields: Any) -> Connack:
    return house.talk(held, gateway, FIVE).connect(name_of(held), **fields)


def ask(talk: Talk, topic_filter: str, qos: int = 0, identifier: int = 0, **options: Any) -> int:
    """Return the code for one filter."""
    properties = Properties(subscription_ids=(identifier,)) if identifier else Properties()
    talk.send(Subscribe(1, (Subscription(topic_filter, qos, **options),), properties))
    (code,) = talk.expect(Suback).codes
    return code


# Done by the gateway.


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_pass_between_the_versions(house: House, qos: int) -> None:
    lamp, lamp3 = house.thing(*OWN, ALL), house.thing(ALL)
    five, three = live5(house, lamp), house.live(lamp3)
    topic = topic_of(lamp)
    assert five.subscribe(topic, qos=qos) == (qos,)
    assert three.subscribe(topic, qos=qos) == (qos,)
    for sender in (five, three):
        sender.publish(topic, b"nonce", qos=qos)
        for receiver in (five, three):
            message = receiver.received()
            assert (message.topic, message.payload, message.qos) == (topic, b"nonce", qos)
            assert not any(message.properties)


def test_an_alias_is_resolved_before_policy_is_asked(house: House, log: Log) -> None:
    lamp, victim = house.thing(), house.thing()
    spy = house.spy(topic_of(lamp), topic_of(victim))
    talk = live5(house, lamp)
    talk.send(build_publish(topic_of(lamp), b"1", version=FIVE, properties=Properties(topic_alias=8)))
    talk.send(_aliased(8, b"2"))
    assert [spy.message() for _ in "12"] == [(topic_of(lamp), b"1"), (topic_of(lamp), b"2")]
    # An alias for a topic that is not allowed is refused when it is set, and so never used.
    talk.send(
        build_publish(topic_of(victim), b"3", version=FIVE, properties=Properties(topic_alias=8)),
        _aliased(8, b"4"),
    )
    assert talk.expect(Disconnect).reason is ReasonCode.NOT_AUTHORIZED
    assert talk.next() is None
    assert spy.no_message()


def test_an_alias_that_policy_refuses_once_is_refused_again(house: House) -> None:
    lamp, victim = house.thing(), house.thing()
    spy = house.spy(topic_of(lamp), topic_of(victim))
    talk = live5(house, lamp)
    alias = Properties(topic_alias=1)
    talk.send(build_publish(topic_of(victim), b"1", qos=1, packet_id=1, version=FIVE, properties=alias))
    assert talk.expect(Puback).reason is ReasonCode.NOT_AUTHORIZED
    talk.send(_aliased(1, b"2", packet_id=2))
    assert talk.expect(Puback).reason is ReasonCode.NOT_AUTHORIZED
    assert spy.no_message()


def _aliased(alias: int, payload: bytes, packet_id: int = 0) -> bytes:
    """Return a PUBLISH that says no topic."""
    identifier = packet_id.to_bytes(2) if packet_id else b""
    body = b"\x00\x00" + identifier + b"\x03\x23" + alias.to_bytes(2) + payload
    return bytes((0x32 if packet_id else 0x30, len(body))) + body


def test_a_device_is_never_sent_an_alias(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=Properties(topic_alias_maximum=5))
    assert talk.subscribe(topic_of(lamp)) == (0,)
    for _ in range(3):
        talk.publish(topic_of(lamp), b"x", qos=1, properties=Properties(topic_alias=3))
        message = talk.received()
        assert (message.topic, message.properties.topic_alias) == (topic_of(lamp), None)


@pytest.mark.parametrize("alias", [0, 9])
def test_an_alias_over_what_was_told_ends_it(house: House, alias: int) -> None:
    talk = live5(house, house.thing())
    talk.send(_aliased(alias, b"x"))
    assert talk.expect(Disconnect).reason is ReasonCode.TOPIC_ALIAS_INVALID


def test_a_client_id_is_assigned_and_told(house: House) -> None:
    lamp = house.thing(ALL)
    talk = house.talk(lamp, version=FIVE)
    told = talk.connect("").properties.assigned_client_id
    assert told is not None
    assert told.startswith("troth-")


def test_the_keep_alive_is_told_where_it_is_another(house: House) -> None:
    lamp = house.thing()
    assert connack(house, lamp, keep_alive_s=60).properties.server_keep_alive_s is None
    for asked in (0, 65_535):
        assert (
            connack(house, house.thing(), keep_alive_s=asked).properties.server_keep_alive_s == DEFAULT.keep_alive_s_max
        )


def test_no_more_is_under_way_to_a_device_than_it_said(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=Properties(receive_maximum=2))
    assert talk.subscribe(topic_of(lamp), qos=1) == (1,)
    spy = house.spy()
    for number in range(5):
        spy.publish(topic_of(lamp), b"%d" % number, qos=1)
    first, second = talk.expect(Publish), talk.expect(Publish)
    assert talk.no_message()
    talk.send(Puback(second.packet_id), Puback(first.packet_id))
    assert [each.payload for each in (first, second)] == [b"0", b"1"]
    assert [talk.message()[1] for _ in range(3)] == [b"2", b"3", b"4"]


def test_more_under_way_than_was_told_ends_it(house: House) -> None:
    strict = house.gateway_with(receive_max=2)
    lamp = house.thing()
    talk = live5(house, lamp, strict)
    # Of QoS 2 and not released: they stay under way.
    for packet_id in (1, 2):
        talk.send(build_publish(topic_of(lamp), b"x", qos=2, packet_id=packet_id, version=FIVE))
        assert talk.expect(Pubrec).packet_id == packet_id
    talk.send(build_publish(topic_of(lamp), b"x", qos=2, packet_id=3, version=FIVE))
    assert talk.expect(Disconnect).reason is ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


def test_a_device_is_sent_nothing_longer_than_it_takes(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=Properties(maximum_packet_size=100))
    assert talk.subscribe(topic_of(lamp), qos=1) == (1,)
    spy = house.spy()
    spy.publish(topic_of(lamp), b"x" * 100, qos=1)
    spy.publish(topic_of(lamp), b"short", qos=1)
    assert talk.message() == (topic_of(lamp), b"short")
    assert [each["reason"] for each in log.of(talk, "receive.dropped")] == ["packet-too-large-for-device"]


def test_a_packet_longer_than_was_told_ends_it(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp)
    talk.send(build_publish(topic_of(lamp), b"\0" * DEFAULT.packet_bytes, version=FIVE))
    assert talk.expect(Disconnect).reason is ReasonCode.PACKET_TOO_LARGE


def test_no_local_keeps_a_device_from_its_own_messages(house: House) -> None:
    lamp, other = house.thing(), house.thing(ALL)
    talk = live5(house, lamp)
    friend = live5(house, other)
    assert ask(talk, topic_of(lamp), 1, no_local=True) == 1
    talk.publish(topic_of(lamp), b"own", qos=1)
    friend.publish(topic_of(lamp), b"another's", qos=1)
    assert talk.message() == (topic_of(lamp), b"another's")
    # Heard through another filter, it is to be heard.
    assert ask(talk, f"home/{name_of(lamp)}/#", 1) == 1
    talk.publish(topic_of(lamp), b"own again", qos=1)
    assert talk.message() == (topic_of(lamp), b"own again")


def test_a_message_says_by_which_subscriptions_it_comes(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp)
    assert ask(talk, topic_of(lamp, "a"), identifier=7) == 0
    assert ask(talk, f"home/{name_of(lamp)}/+", identifier=300) == 0
    spy = house.spy()
    spy.publish(topic_of(lamp, "b"), b"x", qos=1)
    assert talk.received().properties == Properties(subscription_ids=(300,))
    spy.publish(topic_of(lamp, "a"), b"x", qos=1)
    assert talk.received().properties == Properties(subscription_ids=(7, 300))


@pytest.mark.parametrize(("handling", "again"), [(0, True), (1, False), (2, False)])
def test_retained_messages_come_as_they_are_wanted(house: House, handling: int, again: bool) -> None:
    lamp = house.thing()
    house.spy().publish(topic_of(lamp), b"kept", qos=1, retain=True)
    talk = live5(house, lamp)
    assert ask(talk, topic_of(lamp), 1, retain_handling=handling) == 1
    if handling < 2:
        assert talk.message() == (topic_of(lamp), b"kept")
    assert talk.no_message()
    assert ask(talk, topic_of(lamp), 1, retain_handling=handling) == 1
    if again:
        assert talk.message() == (topic_of(lamp), b"kept")
    assert talk.no_message()


def test_a_message_lives_as_long_as_it_says(house: House) -> None:
    lamp, other, third = (house.thing(*OWN, ALL) for _ in range(3))
    talk, five, three = live5(house, lamp), live5(house, other), house.live(third)
    for topic, expiry_s in ((topic_of(lamp, "short"), 1), (topic_of(lamp, "long"), 100)):
        talk.publish(topic, b"kept", qos=1, retain=True, properties=Properties(message_expiry_s=expiry_s))
    talk.publish(topic_of(lamp, "now"), b"dead", qos=1, retain=True, properties=Properties(message_expiry_s=0))
    house.let_pass(1.1)
    for late in (five, three):
        assert late.subscribe(f"home/{name_of(lamp)}/#", qos=1) == (1,)
        message = late.received()
        assert (message.topic, message.payload) == (topic_of(lamp, "long"), b"kept")
        assert late.no_message()
        if late is five:
            assert message.properties.message_expiry_s in range(60, 100)


def test_a_will_waits_and_is_forgotten_when_its_device_is_back(house: House) -> None:
    lamp = house.thing()
    spy = house.spy(topic_of(lamp, "gone"))
    will = Will(topic_of(lamp, "gone"), b"gone", 1, properties=Properties(will_delay_s=2))
    live5(house, lamp, will=will, properties=KEPT).socket.close()
    back = house.live(lamp, version=FIVE, clean_session=False, will=will, properties=KEPT)
    house.let_pass(2.2)
    assert spy.no_message()
    back.socket.close()
    assert spy.no_message()
    assert spy.message() == (topic_of(lamp, "gone"), b"gone")


def test_a_will_that_waits_is_due_when_its_session_ends(house: House) -> None:
    lamp, other = house.thing(), house.thing()
    will = Will(topic_of(lamp, "gone"), b"gone", 1, properties=Properties(will_delay_s=600))
    spy = house.spy(topic_of(lamp, "gone"), topic_of(other, "gone"))
    # No session is kept: nothing is left to wait for.
    live5(house, lamp, will=will).socket.close()
    assert spy.message() == (topic_of(lamp, "gone"), b"gone")
    will = Will(topic_of(other, "gone"), b"gone", 1, properties=Properties(will_delay_s=600))
    live5(house, other, will=will, properties=KEPT).socket.close()
    assert spy.no_message()
    live5(house, other, clean_session=True)
    assert spy.message() == (topic_of(other, "gone"), b"gone")


def test_a_will_that_waits_is_decided_again_when_it_is_due(house: House) -> None:
    lamp, twin = (house.thing(OWN[0]) for _ in range(2))
    rights = [house.allow(name_of(each), OWN[1]) for each in (lamp, twin)]
    spy = house.spy(topic_of(lamp), topic_of(twin))
    for each in (lamp, twin):
        will = Will(topic_of(each), b"gone", 1, properties=Properties(will_delay_s=1))
        live5(house, each, will=will, properties=KEPT).socket.close()
    house.detach(name_of(lamp), rights[0])
    assert spy.message() == (topic_of(twin), b"gone")
    house.let_pass(0.3)
    assert spy.no_message()


def test_the_last_word_decides_about_the_will(house: House) -> None:
    one, two = house.thing(), house.thing()
    spy = house.spy(topic_of(one), topic_of(two))
    talk = live5(house, one, will=Will(topic_of(one), b"never"))
    talk.send(Disconnect())
    assert talk.next() is None
    talk = live5(house, two, will=Will(topic_of(two), b"gone"))
    talk.send(Disconnect(ReasonCode.DISCONNECT_WITH_WILL))
    assert talk.next() is None
    assert spy.message() == (topic_of(two), b"gone")
    assert spy.no_message()


def test_a_session_is_kept_and_begun_anew_as_both_questions_are_answered(house: House) -> None:
    lamp = house.thing()
    spy = house.spy()
    talk = live5(house, lamp, clean_session=True, properties=KEPT)
    assert talk.subscribe(topic_of(lamp), qos=1) == (1,)
    _leave(talk)
    house.let_pass(SETTLED_S)
    spy.publish(topic_of(lamp), b"queued", qos=1)
    # Taken up, and kept no longer.
    talk = house.talk(lamp, version=FIVE)
    assert talk.connect(name_of(lamp), clean_session=False).session_present
    assert talk.message() == (topic_of(lamp), b"queued")
    _leave(talk)
    talk = house.talk(lamp, version=FIVE)
    assert not talk.connect(name_of(lamp), clean_session=False, properties=KEPT).session_present
    spy.publish(topic_of(lamp), b"not asked for", qos=1)
    assert talk.no_message()


def test_a_clean_start_forgets_what_was_and_keeps_what_comes(house: House) -> None:
    lamp = house.thing()
    spy = house.spy()
    talk = live5(house, lamp, properties=KEPT)
    assert talk.subscribe(topic_of(lamp, "old"), qos=1) == (1,)
    _leave(talk)
    talk = house.talk(lamp, version=FIVE)
    assert not talk.connect(name_of(lamp), clean_session=True, properties=KEPT).session_present
    assert talk.subscribe(topic_of(lamp, "new"), qos=1) == (1,)
    _leave(talk)
    house.let_pass(SETTLED_S)
    spy.publish(topic_of(lamp, "old"), b"1", qos=1)
    spy.publish(topic_of(lamp, "new"), b"2", qos=1)
    talk = house.talk(lamp, version=FIVE)
    assert talk.connect(name_of(lamp), clean_session=False, properties=KEPT).session_present
    assert talk.message() == (topic_of(lamp, "new"), b"2")
    assert talk.no_message()


def test_a_session_can_be_given_up_at_the_end(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=KEPT)
    assert talk.subscribe(topic_of(lamp), qos=1) == (1,)
    _leave(talk, Properties(session_expiry_s=0))
    again = house.talk(lamp, version=FIVE)
    assert not again.connect(name_of(lamp), clean_session=False, properties=KEPT).session_present


def _leave(talk: Talk, properties: Properties = Properties()) -> None:
    talk.send(Disconnect(properties=properties))
    assert talk.next() is None


# Told at CONNACK.


def test_connack_tells_what_is_not_as_asked(house: House, broker: Broker) -> None:
    told = connack(house, house.thing()).properties
    assert told == Properties(
        receive_maximum=DEFAULT.receive_max,
        maximum_packet_size=DEFAULT.packet_bytes,
        topic_alias_maximum=DEFAULT.topic_aliases_max,
        shared_subscription_available=False if broker.flavour == "nats" else None,
    )
    told = connack(house, house.thing(), properties=KEPT).properties
    assert told.session_expiry_s == SESSION_NEVER_EXPIRES
    assert told.subscription_identifier_available is False


def test_what_would_be_lost_with_a_kept_session_is_refused_in_it(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=KEPT)
    assert ask(talk, topic_of(lamp), identifier=1) == ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
    assert ask(talk, topic_of(lamp), no_local=True) == ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
    assert ask(talk, topic_of(lamp), retain_handling=2) == 0


# Carried in an envelope.


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_said_of_a_message_arrives_with_it(house: House, qos: int) -> None:
    lamp = house.thing()
    sender, receiver = live5(house, lamp), live5(house, house.thing(ALL))
    three = house.live(house.thing(ALL))
    for each in (receiver, three):
        assert each.subscribe(topic_of(lamp), qos=qos) == (qos,)
    sender.publish(topic_of(lamp), b"nonce", qos=qos, properties=SAID)
    message = receiver.received()
    assert (message.payload, message.properties) == (b"nonce", SAID)
    # Who speaks 3.1.1 is given the message, and nothing around it.
    assert three.message() == (topic_of(lamp), b"nonce")


def test_what_a_will_says_arrives_with_it(house: House) -> None:
    lamp = house.thing()
    receiver = live5(house, house.thing(ALL))
    assert receiver.subscribe(topic_of(lamp), qos=1) == (1,)
    will = Will(topic_of(lamp), b"gone", 1, properties=SAID._replace(message_expiry_s=60))
    live5(house, lamp, will=will).socket.close()
    message = receiver.received()
    assert (message.payload, message.properties) == (b"gone", will.properties)


# Refused.


def test_what_is_retained_is_ended_by_an_empty_message_alone(house: House) -> None:
    lamp = house.thing(*OWN, allow("iot:RetainPublish", "topic/*"))
    talk = live5(house, lamp)
    talk.publish(topic_of(lamp), b"kept", qos=1, retain=True, properties=SAID)
    # It cannot say anything more: there would be an envelope in its place.
    talk.send(build_publish(topic_of(lamp), b"", qos=1, packet_id=1, retain=True, version=FIVE, properties=SAID))
    assert talk.expect(Puback).reason is ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
    will = Will(topic_of(lamp), b"", retain=True, properties=SAID)
    refused = house.talk(lamp, version=FIVE).connect(name_of(lamp), will=will)
    assert refused.code is ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
    late = live5(house, house.thing(ALL))
    assert late.subscribe(topic_of(lamp), qos=1) == (1,)
    assert late.received().properties == SAID
    talk.publish(topic_of(lamp), b"", qos=1, retain=True)
    assert late.message() == (topic_of(lamp), b"")
    later = live5(house, house.thing(ALL))
    assert later.subscribe(topic_of(lamp), qos=1) == (1,)
    assert later.no_message()


def test_without_envelopes_what_cannot_be_carried_is_refused(house: House, log: Log) -> None:
    bare = house.gateway_with(envelopes=False)
    lamp = house.thing()
    spy = house.spy(topic_of(lamp))
    talk = live5(house, lamp, bare)
    refused = ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR
    talk.send(build_publish(topic_of(lamp), b"x", qos=1, packet_id=1, version=FIVE, properties=SAID))
    assert talk.expect(Puback).reason is refused
    talk.send(build_publish(topic_of(lamp), b"x", qos=2, packet_id=2, version=FIVE, properties=SAID))
    assert talk.expect(Pubrec).reason is refused
    assert ask(talk, topic_of(lamp), no_local=True) == refused
    talk.publish(topic_of(lamp), b"plain", qos=1)
    assert spy.message() == (topic_of(lamp), b"plain")
    talk.send(build_publish(topic_of(lamp), b"x", version=FIVE, properties=Properties(message_expiry_s=1)))
    assert talk.expect(Disconnect).reason is refused
    assert {each["reason"] for each in log.of(talk, "publish.denied")} == {"properties-not-carried"}
    will = Will(topic_of(lamp), b"x", properties=SAID)
    assert connack(house, house.thing(ALL), bare, will=will).code is refused
    assert spy.no_message()


def test_retain_as_published_is_refused(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp)
    assert ask(talk, topic_of(lamp), retain_as_published=True) == ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR


def test_a_shared_subscription_is_decided_by_its_whole_text_and_never_silent(house: House, broker: Broker) -> None:
    lamp = house.thing(*OWN, allow("iot:Subscribe", "topicfilter/$share/mine/home/*"))
    talk = live5(house, lamp)
    asked = (f"$share/mine/{topic_of(lamp)}", f"$share/theirs/{topic_of(lamp)}", "$share/mine/$SYS/#")
    talk.send(Subscribe(1, tuple(Subscription(each, 1) for each in asked)))
    granted, unlike, closed = talk.expect(Suback).codes
    assert unlike == closed == ReasonCode.NOT_AUTHORIZED
    if broker.flavour == "nats":
        assert granted == ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        return
    assert granted == 1
    house.spy().publish(topic_of(lamp), b"x", qos=1)
    assert talk.message() == (topic_of(lamp), b"x")


def test_an_authentication_method_is_refused(house: House) -> None:
    lamp = house.thing()
    said = Properties(authentication_method="SCRAM-SHA-1", authentication_data=b"x")
    assert connack(house, lamp, properties=said).code is ReasonCode.BAD_AUTHENTICATION_METHOD
    talk = live5(house, lamp)
    talk.send(Auth(ReasonCode.REAUTHENTICATE, Properties(authentication_method="SCRAM-SHA-1")))
    assert talk.expect(Disconnect).reason is ReasonCode.PROTOCOL_ERROR


def test_what_is_said_to_the_server_alone_goes_no_further(house: House) -> None:
    lamp = house.thing()
    said = (("colour", "red"),)
    asks = Properties(user_properties=said, request_response_information=True, request_problem_information=False)
    talk = house.talk(lamp, version=FIVE)
    assert talk.connect(name_of(lamp), properties=asks).properties.response_information is None
    talk.send(Subscribe(1, (Subscription(topic_of(lamp), 1),), Properties(user_properties=said)))
    assert talk.expect(Suback) == Suback(1, (1,))
    talk.publish(topic_of(lamp), b"x", qos=1)
    message = talk.received()
    assert not any(message.properties)
    talk.send(Unsubscribe(2, (topic_of(lamp),), Properties(user_properties=said)))
    assert talk.expect(Unsuback) == Unsuback(2, (0,))
    talk.send(Disconnect(properties=Properties(user_properties=said)))
    assert talk.next() is None


def test_denials_have_their_codes(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = live5(house, lamp)
    talk.send(build_publish("elsewhere", b"x", qos=1, packet_id=1, version=FIVE))
    assert talk.expect(Puback) == Puback(1, ReasonCode.NOT_AUTHORIZED)
    talk.send(build_publish("elsewhere", b"x", qos=2, packet_id=1, version=FIVE))
    assert talk.expect(Pubrec) == Pubrec(1, ReasonCode.NOT_AUTHORIZED)
    talk.send(build_publish(topic_of(lamp), b"x", qos=1, packet_id=1, retain=True, version=FIVE))
    assert talk.expect(Puback) == Puback(1, ReasonCode.NOT_AUTHORIZED)
    asked = [Subscription(each) for each in ("elsewhere", topic_of(lamp))]
    talk.send(Subscribe(2, tuple(asked)))
    assert talk.expect(Suback) == Suback(2, (ReasonCode.NOT_AUTHORIZED, 0))
    talk.send(Unsubscribe(3, (topic_of(lamp), "$SYS/#")))
    assert talk.expect(Unsuback) == Unsuback(3, (0, ReasonCode.NO_SUBSCRIPTION_EXISTED))
    talk.send(build_publish("elsewhere", b"x", version=FIVE))
    assert talk.expect(Disconnect).reason is ReasonCode.NOT_AUTHORIZED
    assert talk.next() is None
    assert len(log.of(talk, "publish.denied")) == 4
    assert connack(house, lamp, will=Will("elsewhere", b"x")).code is ReasonCode.NOT_AUTHORIZED
    assert house.talk(lamp, version=FIVE).connect("another").code is ReasonCode.NOT_AUTHORIZED
    assert house.talk(lamp, version=FIVE).connect("$x").code is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID


def test_what_the_broker_cannot_carry_has_a_code_of_its_own(house: House) -> None:
    talk = live5(house, house.thing(ALL))
    talk.send(build_publish("$SYS/x", b"x", qos=1, packet_id=1, version=FIVE))
    assert talk.expect(Puback).reason is ReasonCode.TOPIC_NAME_INVALID
    assert ask(talk, "$SYS/#") == ReasonCode.TOPIC_FILTER_INVALID
    talk.send(build_publish("$SYS/x", b"x", version=FIVE))
    assert talk.expect(Disconnect).reason is ReasonCode.TOPIC_NAME_INVALID


def test_a_denied_message_of_qos_0_may_be_dropped_instead(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, house.gateway_with(drops_denied=True))
    talk.send(build_publish("elsewhere", b"x", version=FIVE))
    assert talk.is_alive()
    talk.send(build_publish("elsewhere", b"x", qos=1, packet_id=1, version=FIVE))
    assert talk.expect(Puback).reason is ReasonCode.NOT_AUTHORIZED


def test_a_device_that_refuses_a_message_does_not_dam_up_the_others(house: House) -> None:
    lamp = house.thing()
    talk = live5(house, lamp, properties=Properties(receive_maximum=1))
    assert talk.subscribe(topic_of(lamp), qos=2) == (2,)
    spy = house.spy()
    for payload in (b"1", b"2"):
        spy.publish(topic_of(lamp), payload, qos=2)
    refused = talk.expect(Publish)
    talk.send(Pubrec(refused.packet_id, ReasonCode.QUOTA_EXCEEDED))
    assert talk.message() == (topic_of(lamp), b"2")


def test_a_server_says_why_it_goes(house: House) -> None:
    lamp, other = house.thing(), house.thing()
    talk, second = live5(house, lamp), live5(house, other)
    house.site.revoke(lamp)
    assert talk.expect(Disconnect).reason is ReasonCode.NOT_AUTHORIZED
    third = live5(house, other)
    assert second.expect(Disconnect).reason is ReasonCode.SESSION_TAKEN_OVER
    assert third.is_alive()
    closing = RunningGateway(house.site, house.broker)
    fourth = live5(house, house.thing(), closing)
    closing.close()
    assert fourth.expect(Disconnect).reason is ReasonCode.SERVER_SHUTTING_DOWN


def test_a_session_that_another_worker_takes_over_is_told_so(house: House) -> None:
    lamp, bystander = house.thing(), house.thing()
    talk, other = live5(house, lamp), live5(house, bystander)
    again = live5(house, lamp, house.gateway_with())
    assert talk.expect(Disconnect).reason is ReasonCode.SESSION_TAKEN_OVER
    assert again.is_alive()
    assert other.is_alive()


def test_a_malformed_packet_is_told(house: House) -> None:
    talk = live5(house, house.thing())
    talk.send(b"\x32\x03\x00\x01a")
    assert talk.expect(Disconnect).reason is ReasonCode.MALFORMED_PACKET
    # A CONNECT that can be read as one of this version is answered, whatever is wrong behind that.
    for said, code in (
        (b"\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", ReasonCode.PROTOCOL_ERROR),
        (b"\x02\x7f\x00", ReasonCode.MALFORMED_PACKET),
    ):
        talk = house.talk(house.thing(), version=FIVE)
        body = b"\x00\x04MQTT\x05\x02\x00\x3c" + said + b"\x00\x01x"
        talk.send(bytes((0x10, len(body))) + body)
        assert talk.expect(Connack).code is code
        assert talk.next() is None
    # What is no CONNECT is not.
    talk = house.talk(house.thing(), version=FIVE)
    talk.send(b"\xc0\x00")
    assert talk.next() is None
