"""What the gateway itself answers never reaches the broker, whoever publishes or subscribes to it."""

import pytest
from tests.fixtures.mqtt import allow, deny
from tests.unit.gateway.mqtt.sides import Sides, message

from troth.gateway.mqtt.ended import Ended
from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
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
from troth.protocols.provisioning import Format, Operation, Topic

CREATE = "$aws/certificates/create/json"
ACCEPTED = f"{CREATE}/accepted"
ALL = allow("iot:*", "*")


def subscribed(*filters: str, offers: bool = True) -> Sides:
    sides = Sides(ALL, offers=offers)
    sides.device(Subscribe(1, tuple(Subscription(each, 1) for each in filters)))
    return sides


def codes(sides: Sides) -> tuple[int, ...]:
    (answer,) = sides.to_device
    assert isinstance(answer, Suback)
    return answer.codes


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_request_is_kept_from_the_broker_and_passed_on(qos: int) -> None:
    sides = subscribed(ACCEPTED)
    assert codes(sides) == (0,)
    sides.device(message(CREATE, qos))
    assert sides.asked == [(Topic(Operation.CREATE, Format.JSON, None, False), CREATE, b"x")]
    assert sides.exchange.to_broker == []
    assert sides.to_device == [[], [Puback(5)], [Pubrec(5)]][qos]
    if qos == 2:
        # Said again, it is not done again.
        sides.device(message(CREATE, 2, dup=True), Pubrel(5))
        assert sides.to_device == [Pubrec(5), Pubcomp(5)]
        assert len(sides.asked) == 1
    assert sides.report.denied_events == []


def test_an_answer_comes_where_it_is_listened_for() -> None:
    sides = subscribed("$aws/certificates/create/json/+", "$aws/certificates/#")
    assert codes(sides) == (0, 0)
    sides.exchange.answer(ACCEPTED, b"key")
    (answer,) = sides.to_device
    assert isinstance(answer, Publish)
    assert (answer.topic, answer.payload, answer.qos, answer.retain) == (ACCEPTED, b"key", 0, False)
    sides.device(Unsubscribe(2, ("$aws/certificates/create/json/+", "$aws/certificates/#")))
    assert sides.to_device == [Unsuback(2)]
    sides.exchange.answer(ACCEPTED, b"key")
    assert sides.to_device == []
    assert sides.exchange.to_broker == []


def test_an_answer_is_not_given_to_who_may_not_receive_it() -> None:
    sides = Sides(ALL, deny("iot:Receive", f"topic/{ACCEPTED}"), offers=True)
    sides.device(Subscribe(1, (Subscription(ACCEPTED),)))
    assert codes(sides) == (0,)
    sides.exchange.answer(ACCEPTED, b"key")
    assert sides.to_device == []
    # And nothing is begun for it.
    sides.device(message(CREATE))
    assert sides.asked == []
    assert sides.report.denied_events[-1][:3] == ("receive.denied", "iot:Receive", f"topic/{ACCEPTED}")


def test_nothing_is_begun_that_nobody_would_hear_of() -> None:
    sides = subscribed(f"{CREATE}/rejected")
    sides.device(message(CREATE, 1))
    assert sides.asked == []
    assert sides.report.denied_events == [
        ("receive.denied", "iot:Receive", f"topic/{ACCEPTED}", "implicit-deny", "not-subscribed")
    ]


def test_policy_decides_what_is_asked_and_listened_to() -> None:
    sides = Sides(allow("iot:Receive", "*"), allow("iot:Subscribe", f"topicfilter/{CREATE}/*"), offers=True)
    filters = (ACCEPTED, "$aws/certificates/create-from-csr/json/accepted")
    sides.device(Subscribe(1, tuple(Subscription(each) for each in filters)))
    assert codes(sides) == (0, SUBSCRIPTION_REFUSED)
    with pytest.raises(Ended):
        sides.device(message(CREATE))
    assert sides.asked == []
    assert sides.report.denied_events[-1] == (
        "publish.denied",
        "iot:Publish",
        f"topic/{CREATE}",
        "implicit-deny",
        "policy",
    )


@pytest.mark.parametrize(
    "topic",
    [
        ACCEPTED,
        f"{CREATE}/rejected",
        "$aws/certificates/create/xml",
        "$aws/certificates/x",
        "$aws/certificates/create-from-csr/cbor/accepted",
        "$aws/provisioning-templates/T/provision/json/accepted",
        "$aws/provisioning-templates/T/other",
    ],
)
def test_nobody_speaks_in_the_gateways_name(topic: str) -> None:
    sides = subscribed("$aws/certificates/#", "$aws/provisioning-templates/#")
    with pytest.raises(Ended):
        sides.device(message(topic))
    assert sides.asked == []
    assert sides.exchange.to_broker == []
    assert sides.report.denied_events[-1][4] in {"topic-reserved", "topic-too-long"}


def test_a_request_is_not_retained() -> None:
    sides = subscribed(ACCEPTED)
    with pytest.raises(Ended):
        sides.device(message(CREATE, retain=True))
    assert sides.asked == []


@pytest.mark.parametrize("topic_filter", ["$aws/#", "$aws/+/create/json/accepted", "$aws/+/#"])
def test_no_filter_reaches_over_them_to_the_broker(topic_filter: str) -> None:
    sides = subscribed(topic_filter, "open/x")
    assert [each.subscriptions for each in sides.to_broker if isinstance(each, Subscribe)] == [
        (Subscription("open/x", 1),)
    ]
    assert sides.report.denied_events[0][4] == "topic-reserved"


def test_as_many_filters_are_held_as_are_allowed() -> None:
    sides = subscribed(ACCEPTED, f"{CREATE}/rejected", "$aws/certificates/#", ACCEPTED)
    assert codes(sides) == (0, 0, SUBSCRIPTION_REFUSED, 0)
    assert sides.exchange.to_broker == []


def test_filters_for_both_take_their_places_in_one_answer() -> None:
    sides = subscribed("a", ACCEPTED, "b")
    (forwarded,) = sides.to_broker
    assert forwarded == Subscribe(1, (Subscription("a", 1), Subscription("b", 1)))
    sides.broker(Suback(1, (1, SUBSCRIPTION_REFUSED)))
    assert codes(sides) == (1, 0, SUBSCRIPTION_REFUSED)


def test_where_nothing_is_offered_nothing_is_taken() -> None:
    sides = subscribed(ACCEPTED, offers=False)
    assert codes(sides) == (SUBSCRIPTION_REFUSED,)
    with pytest.raises(Ended):
        sides.device(message(CREATE))
    assert sides.exchange.to_broker == []
