"""Topic names, filters and how they match: the examples of section 4.7, and a slow matcher to agree with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.protocols.mqtt import filter_problem, matches, split_share, topic_problem

LEVELS = st.sampled_from(["", "a", "b", "$a", "long level", "é"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
FILTERS = (
    st.lists(LEVELS | st.just("+"), max_size=5)
    .flatmap(lambda levels: st.sampled_from([levels, [*levels, "#"]]))
    .map("/".join)
    .filter(bool)
)


@pytest.mark.parametrize("topic", ["a", "/", "/finance", "a//b", " ", "$SYS/x", "ACCOUNTS", "a" * 65535, "é/日"])
def test_topic_names(topic: str) -> None:
    assert topic_problem(topic) is None
    assert filter_problem(topic) is None


@pytest.mark.parametrize("topic", ["", "+", "#", "a/+/b", "a/#", "a+", "a\0b", "a" * 65536, "é" * 32768])
def test_no_topic_names(topic: str) -> None:
    assert topic_problem(topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "+/+", "/+", "+/tennis/#", "sport/+/player1", "/#", "$share/g/#"])
def test_filters(topic_filter: str) -> None:
    assert filter_problem(topic_filter) is None


@pytest.mark.parametrize(
    "topic_filter",
    [
        "",
        "sport/tennis#",
        "sport/tennis/#/ranking",
        "sport+",
        "+a",
        "++",
        "#/",
        "##",
        "a/#b",
        "#/#",
        "a\0",
        "a" * 65536,
    ],
)
def test_no_filters(topic_filter: str) -> None:
    assert filter_problem(topic_filter)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
        ("sport/#", "sport"),
        ("#", "a/b"),
        ("#", "/"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/monitor"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("a/+/#", "a/b"),
        ("a/#", "a/$b"),
    ],
)
def test_matching(topic_filter: str, topic: str) -> None:
    assert matches(topic_filter, topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic"),
    [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/monitor"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("a", "A"),
        ("a", "a/"),
        ("a/#", "ab"),
        ("a/+/#", "a"),
        ("/a", "a"),
        ("$share/g/a", "a"),
    ],
)
def test_not_matching(topic_filter: str, topic: str) -> None:
    assert not matches(topic_filter, topic)


def matches_slowly(wanted: list[str], levels: list[str]) -> bool:
    """Section 4.7.1, word by word."""
    if wanted == ["#"] or (not wanted and not levels):
        return True
    if not wanted or not levels:
        return False
    return wanted[0] in {"+", levels[0]} and matches_slowly(wanted[1:], levels[1:])


@given(FILTERS, TOPICS)
def test_the_matcher_agrees_with_a_slow_one(topic_filter: str, topic: str) -> None:
    hidden = topic.startswith("$") and topic_filter[0] in "+#"
    assert matches(topic_filter, topic) == (not hidden and matches_slowly(topic_filter.split("/"), topic.split("/")))


@given(st.text(max_size=20))
def test_a_topic_name_is_a_filter_that_matches_itself(topic: str) -> None:
    if topic_problem(topic) is None:
        assert filter_problem(topic) is None
        assert matches(topic, topic)


@pytest.mark.parametrize(
    ("topic_filter", "parts"),
    [
        ("a/b", (None, "a/b")),
        ("$share", (None, "$share")),
        ("$shared/g/a", (None, "$shared/g/a")),
        ("$share/g/a", ("g", "a")),
        ("$share/g//a", ("g", "/a")),
        ("$share/g/#", ("g", "#")),
        ("$share/g/$share/h/a", ("g", "$share/h/a")),
    ],
)
def test_shared_filters_are_split(topic_filter: str, parts: tuple[str | None, str]) -> None:
    assert split_share(topic_filter) == parts


@pytest.mark.parametrize("topic_filter", ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#"])
def test_shared_filters_that_could_be_taken_either_way_are_refused(topic_filter: str) -> None:
    with pytest.raises(PeerFault) as caught:
        split_share(topic_filter)
    assert caught.value.kind is Kind.MALFORMED
