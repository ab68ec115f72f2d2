"""Every packet of a live session is decided; what is kept back is answered so that neither side waits for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.mqtt import allow, deny
from tests.unit.gateway.mqtt.sides import OPEN, Sides, grant, message

from troth.gateway.mqtt.ended import Ended
from troth.gateway.refusal import Reason
from troth.limits import DENIALS_LOGGED_PER_SECOND_MAX
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
    Subscription,
    Unsuback,
    Unsubscribe,
)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_allowed_passes_as_it_came(qos: int) -> None:
    sides = Sides()
    sent = message("open/x", qos)
    sides.device(sent)
    assert sides.exchange.to_broker == [sent.raw]
    sides.exchange.to_broker.clear()
    sides.broker(sent)
    assert sides.exchange.to_device == [sent.raw]
    assert sides.report.denied_events == []


def test_a_denied_publish_ends_it_after_what_came_before() -> None:
    sides = Sides()
    with pytest.raises(Ended) as ended:
        sides.device(message("open/a"), message("closed/b"), message("open/c"))
    assert ended.value.reason is Reason.PUBLISH_DENIED
    assert [each.topic for each in sides.to_broker if isinstance(each, Publish)] == ["open/a"]
    assert sides.report.denied_events == [
        ("publish.denied", "iot:Publish", "topic/closed/b", "implicit-deny", "policy")
    ]
    sides.exchange.count(sides.report)
    assert sides.report.counts["iot:Publish", "allow"] == 1


def test_a_denied_publish_is_swallowed_where_that_is_wanted() -> None:
    sides = Sides(drops=True)
    sides.device(message("closed/a"), message("closed/a", 1, 1), message("closed/a", 2, 2), message("open/a", 2, 3))
    assert sides.to_device == [Puback(1), Pubrec(2)]
    assert [each.packet_id for each in sides.to_broker if isinstance(each, Publish)] == [3]
    # The client repeats itself, then ends the exchange; the broker never hears of it.
    sides.device(message("closed/a", 2, 2, dup=True), Pubrel(2), Pubrel(3))
    assert sides.to_device == [Pubrec(2), Pubcomp(2)]
    assert sides.to_broker == [Pubrel(3)]
    assert len(sides.report.denied_events) == 3


def test_a_swallowed_message_stays_so_until_it_is_over() -> None:
    """A grant that comes between the message and its repetition must not let half an exchange through."""
    sides = Sides(OPEN, drops=True)
    sides.device(message("later/x", 2, 2))
    sides.exchange.regrant(grant(allow("iot:*", "*")))
    sides.device(message("later/x", 2, 2, dup=True), Pubrel(2), message("later/x", 2, 2))
    assert sides.to_device == [Pubrec(2), Pubrec(2), Pubcomp(2)]
    assert [type(each) for each in sides.to_broker] == [Publish]


def test_retaining_is_a_right_of_its_own() -> None:
    sides = Sides(OPEN)
    with pytest.raises(Ended):
        sides.device(message("open/x", retain=True))
    assert sides.report.denied_events[0][1:3] == ("iot:RetainPublish", "topic/open/x")
    sides = Sides(OPEN, allow("iot:RetainPublish", "topic/open/*"))
    sides.device(message("open/x", retain=True))
    assert len(sides.to_broker) == 1
    sides = Sides(allow("iot:RetainPublish", "topic/open/*"))
    with pytest.raises(Ended):
        sides.device(message("open/x", retain=True))
    assert sides.report.denied_events[0][1] == "iot:Publish"


def test_a_name_that_the_broker_reads_otherwise_is_denied_whatever_policy_says() -> None:
    sides = Sides(allow("iot:*", "*"))
    for topic, reason in (("a/*", "topic-not-carried"), ("$JS/x", "topic-reserved"), ("x" * 65, "topic-too-long")):
        with pytest.raises(Ended):
            sides.device(message(topic))
        assert sides.report.denied_events[-1][3:] == ("implicit-deny", reason)
    assert sides.to_broker == []


def test_an_explicit_deny_is_told_as_one() -> None:
    sides = Sides(allow("iot:*", "*"), deny("iot:Publish", "topic/secret"))
    with pytest.raises(Ended):
        sides.device(message("secret"))
    assert sides.report.denied_events[0][3] == "explicit-deny"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_denied_delivery_is_answered_for_the_device(qos: int) -> None:
    sides = Sides()
    sides.broker(message("closed/x", qos, 9))
    assert sides.to_device == []
    assert sides.to_broker == [[], [Puback(9)], [Pubrec(9)]][qos]
    sides.broker(Pubrel(9))
    # Of QoS 2 the gateway goes all the way; a PUBREL of anything else is the device's.
    assert sides.to_broker == ([Pubcomp(9)] if qos == 2 else [])
    assert sides.to_device == ([] if qos == 2 else [Pubrel(9)])
    sides.broker(message("open/x", qos, 9))
    assert [type(each) for each in sides.to_device] == [Publish]


def test_a_delivery_denied_stays_denied_until_its_exchange_is_over() -> None:
    sides = Sides()
    sides.broker(message("closed/x", 2, 9))
    sides.exchange.regrant(grant(allow("iot:*", "*")))
    sides.broker(Pubrel(9))
    assert sides.to_broker == [Pubrec(9), Pubcomp(9)]
    assert sides.to_device == []


def test_acknowledgements_pass_both_ways() -> None:
    sides = Sides()
    flow: list[Packet] = [Puback(1), Pubrec(2), Pubrel(3), Pubcomp(4)]
    sides.device(*flow)
    assert sides.to_broker == flow
    sides.broker(*flow, Unsuback(5), Pingresp())
    assert sides.to_device == [*flow, Unsuback(5), Pingresp()]


def test_filters_are_split_and_answers_merged() -> None:
    sides = Sides()
    asked = tuple(Subscription(each, 1) for each in ("open/a", "#", "open/b", "$share/g/x"))
    sides.device(Subscribe(3, asked))
    assert sides.to_broker == [Subscribe(3, (asked[0], asked[2]))]
    assert sides.to_device == []
    sides.broker(Suback(3, (1, 128)))
    assert sides.to_device == [Suback(3, (1, 128, 128, 128))]
    assert [each[2] for each in sides.report.denied_events] == ["topicfilter/#", "topicfilter/$share/g/x"]
    sides.device(Subscribe(4, asked[1:2]))
    assert sides.to_broker == []
    assert sides.to_device == [Suback(4, (128,))]


def test_an_answer_that_nobody_asked_for_ends_it() -> None:
    with pytest.raises(Ended) as ended:
        Sides().broker(Suback(3, (0,)))
    assert ended.value.reason is Reason.UPSTREAM_INVALID


def test_an_identifier_used_twice_ends_it() -> None:
    sides = Sides()
    sides.device(Subscribe(3, (Subscription("open/a"),)))
    with pytest.raises(Ended) as ended:
        sides.device(Subscribe(3, (Subscription("open/b"),)))
    assert ended.value.reason is Reason.PROTOCOL_ERROR


def test_what_the_broker_never_heard_of_is_not_given_back_to_it() -> None:
    sides = Sides()
    sides.device(Unsubscribe(4, ("open/a", "$SYS/#", "a/*")))
    assert sides.to_broker == [Unsubscribe(4, ("open/a",))]
    sides.device(Unsubscribe(5, ("$SYS/#",)))
    assert sides.to_broker == []
    assert sides.to_device == [Unsuback(5)]


def test_a_ping_of_our_own_is_answered_to_nobody() -> None:
    sides = Sides()
    sides.exchange.ping()
    sides.device(Pingreq())
    assert sides.to_broker == [Pingreq(), Pingreq()]
    sides.broker(Pingresp(), Pingresp())
    assert sides.to_device == [Pingresp()]


def test_a_disconnect_is_passed_on_and_ends_it() -> None:
    sides = Sides()
    with pytest.raises(Ended) as ended:
        sides.device(Disconnect())
    assert ended.value.reason is Reason.CLIENT_DISCONNECT
    assert sides.to_broker == [Disconnect()]


def test_denials_are_all_counted_and_not_all_told() -> None:
    sides = Sides()
    for _ in range(DENIALS_LOGGED_PER_SECOND_MAX + 5):
        sides.broker(message("closed/x"))
    assert len(sides.report.denied_events) == DENIALS_LOGGED_PER_SECOND_MAX
    assert sides.report.counts["iot:Receive", "implicit-deny"] == DENIALS_LOGGED_PER_SECOND_MAX + 5
    sides.denials.tick()
    sides.broker(message("closed/x"))
    assert len(sides.report.denied_events) == DENIALS_LOGGED_PER_SECOND_MAX + 1


TOPICS = ["open/a", "open/b", "closed/a", "$SYS/x", "a b"]


@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from([0, 1, 2])), max_size=20), st.booleans())
def test_nothing_but_what_is_open_gets_through(sent: list[tuple[str, int]], deliveries: bool) -> None:
    sides = Sides(drops=True)
    packets = [message(*each, packet_id) for packet_id, each in enumerate(sent, 1)]
    if deliveries:
        sides.broker(*packets)
        passed, answered = sides.to_device, sides.to_broker
    else:
        sides.device(*packets)
        passed, answered = sides.to_broker, sides.to_device
    assert passed == [each for each in packets if each.topic.startswith("open/")]
    # Whoever sent something is owed an answer by exactly one of us.
    assert len(answered) == sum(1 for each in packets if each.qos and each not in passed)
