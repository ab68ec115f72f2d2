"""One SUBACK for each SUBSCRIBE, in the order asked, whoever answers which part of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import PeerFault
from troth.gateway.mqtt.subscriptions import Subscriptions
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Suback, Subscribe, Subscription, Unsubscribe


def subscribe(packet_id: int, *filters: str) -> Subscribe:
    return Subscribe(packet_id, tuple(Subscription(each, 1) for each in filters))


class Judge:
    """Refuses some filters, and notes for which there was no room."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused
        self.full: list[str] = []

    def objection(self, _place: int, wanted: Subscription) -> int | None:
        return SUBSCRIPTION_REFUSED if wanted.topic_filter in self._refused else None

    def no_room(self, topic_filter: str) -> int:
        self.full.append(topic_filter)
        return SUBSCRIPTION_REFUSED


@given(st.lists(st.sampled_from(["allowed", "refused by us", "refused by the broker"]), min_size=1, max_size=12))
def test_codes_take_their_places(fates: list[str]) -> None:
    filters = [f"{place}/{fate}" for place, fate in enumerate(fates)]
    judge = Judge(*(each for each in filters if each.endswith("by us")))
    split = Subscriptions(100).split(subscribe(7, *filters), judge.objection, judge.no_room)
    expected = tuple(1 if fate == "allowed" else SUBSCRIPTION_REFUSED for fate in fates)
    if split.forward is None:
        assert split.answer == Suback(7, expected)
        return
    subscriptions = Subscriptions(100)
    split = subscriptions.split(subscribe(7, *filters), judge.objection, judge.no_room)
    assert split.answer is None
    assert split.forward is not None
    asked = [each.topic_filter for each in split.forward.subscriptions]
    assert asked == [each for each in filters if not each.endswith("by us")]
    theirs = tuple(SUBSCRIPTION_REFUSED if each.endswith("the broker") else 1 for each in asked)
    assert subscriptions.merge(Suback(7, theirs)) == Suback(7, expected)


def test_an_identifier_in_use_is_a_breach() -> None:
    subscriptions, judge = Subscriptions(10), Judge()
    subscriptions.split(subscribe(1, "a"), judge.objection, judge.no_room)
    with pytest.raises(PeerFault):
        subscriptions.split(subscribe(1, "b"), judge.objection, judge.no_room)
    subscriptions.merge(Suback(1, (0,)))
    subscriptions.split(subscribe(1, "b"), judge.objection, judge.no_room)


@pytest.mark.parametrize("answer", [Suback(2, (0,)), Suback(1, (0, 0)), Suback(1, (0, 0, 0, 0))])
def test_an_answer_to_something_else_is_a_breach(answer: Suback) -> None:
    subscriptions, judge = Subscriptions(10), Judge()
    subscriptions.split(subscribe(1, "a", "b", "c"), judge.objection, judge.no_room)
    with pytest.raises(PeerFault):
        subscriptions.merge(answer)


def test_what_is_held_is_bounded_and_can_be_given_back() -> None:
    subscriptions, judge = Subscriptions(2), Judge()
    subscriptions.split(subscribe(1, "a", "b", "c"), judge.objection, judge.no_room)
    assert judge.full == ["c"]
    # What the broker refused is not held, what is asked again takes no room, what is given back leaves some.
    subscriptions.merge(Suback(1, (0, SUBSCRIPTION_REFUSED)))
    subscriptions.split(subscribe(2, "a", "d"), judge.objection, judge.no_room)
    subscriptions.merge(Suback(2, (0, 0)))
    assert subscriptions.drop(Unsubscribe(3, ("a", "x")), lambda each: each != "x")[0] == Unsubscribe(3, ("a",))
    subscriptions.split(subscribe(4, "e", "f"), judge.objection, judge.no_room)
    assert judge.full == ["c", "f"]
    assert subscriptions.drop(Unsubscribe(5, ("x",)), lambda each: each != "x")[0] is None


def test_what_the_broker_goes_on_with_in_part_counts_until_it_is_asked_for_again() -> None:
    subscriptions, judge = Subscriptions(2, leaves_some=lambda each: each.endswith("/#")), Judge()

    def ask(*filters: str) -> None:
        subscriptions.split(subscribe(1, *filters), judge.objection, judge.no_room)
        subscriptions.merge(Suback(1, (0,) * len(filters)))

    ask("a/#", "b")
    subscriptions.drop(Unsubscribe(2, ("a/#", "b", "never/#")), lambda _: True)
    ask("c")
    subscriptions.split(subscribe(1, "d"), judge.objection, judge.no_room)
    assert judge.full == ["d"]
    ask("a/#")
    subscriptions.withdraw(lambda each: each == "a/#")
    subscriptions.split(subscribe(1, "e"), judge.objection, judge.no_room)
    assert judge.full == ["d", "e"]


def test_what_waits_is_bounded() -> None:
    subscriptions, judge = Subscriptions(2), Judge()
    for packet_id in (1, 2):
        assert subscriptions.split(subscribe(packet_id, "a"), judge.objection, judge.no_room).answer is None
    split = subscriptions.split(subscribe(3, "a"), judge.objection, judge.no_room)
    assert split.answer == Suback(3, (SUBSCRIPTION_REFUSED,))
    subscriptions.merge(Suback(1, (0,)))
    assert subscriptions.split(subscribe(3, "a"), judge.objection, judge.no_room).answer is None
