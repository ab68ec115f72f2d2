"""What goes to the broker under its own name, what under another, and what not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.gateway.mqtt.names import Flavour, NameProblem, Names, Owner, upstream_client_id

BOTH = [Names(Flavour.MQTT, 64), Names(Flavour.NATS, 64)]
MQTT, NATS = BOTH
texts = st.text(max_size=8)
owners = st.builds(Owner, st.sampled_from(["thing", "certificate"]), texts)


@given(st.tuples(owners, texts), st.tuples(owners, texts))
def test_two_owners_never_have_one_client_id(one: tuple[Owner, str], other: tuple[Owner, str]) -> None:
    assert (upstream_client_id(*one) == upstream_client_id(*other)) == (one == other)


@given(owners, texts)
def test_a_mapped_client_id_is_one_that_every_broker_takes(owner: Owner, client_id: str) -> None:
    mapped = upstream_client_id(owner, client_id)
    assert len(mapped) == 64
    assert set(mapped) <= set("0123456789abcdef")


@pytest.mark.parametrize("names", BOTH)
@pytest.mark.parametrize(
    "topic", ["a", "a/b", "/", "/a", "a//b", "a.b/c", "$aws/things/x", "a$b/$c", "é/ü", "_INBOXES/a"]
)
def test_ordinary_names_pass(names: Names, topic: str) -> None:
    assert names.topic_problem(topic) is None
    assert names.filter_problem(f"{topic}/#") is None
    assert names.filter_problem(f"+/{topic}") is None


@pytest.mark.parametrize("names", BOTH)
@pytest.mark.parametrize(
    "topic", ["$", "$SYS", "$SYS/x", "$JS/API/x", "$MQTT/x", "$CONTROL/x", "$aws.x/y", "$awsx", "$AWS/x"]
)
def test_reserved_names_do_not(names: Names, topic: str) -> None:
    assert names.topic_problem(topic) is NameProblem.RESERVED
    assert names.filter_problem(topic) is NameProblem.RESERVED


@pytest.mark.parametrize("names", BOTH)
@pytest.mark.parametrize("topic", ["$aws/events", "$aws/events/presence/connected/lamp", "$aws/events/"])
def test_nobody_speaks_where_the_gateway_tells_of_events_and_all_may_listen(names: Names, topic: str) -> None:
    assert names.topic_problem(topic) is NameProblem.RESERVED
    assert names.filter_problem(topic) is None
    assert names.filter_problem("$aws/events/#") is None
    assert names.topic_problem("$aws/event/x") is None


def test_nats_goes_on_with_the_level_above() -> None:
    assert [NATS.leaves_some(each) for each in ("a/#", "+/#", "/#", "#", "a", "a/+")] == [True] * 3 + [False] * 3
    assert not MQTT.leaves_some("a/#")


@pytest.mark.parametrize("topic", ["_INBOX/x", "_R_/x", "_GR_/x", "_INBOX"])
def test_where_nats_answers_itself_is_closed(topic: str) -> None:
    assert NATS.topic_problem(topic) is NameProblem.RESERVED
    assert MQTT.topic_problem(topic) is None


@pytest.mark.parametrize("topic", ["*", ">", "a/*", "a/b*c/d", "a/>", "a>/b", "a b", " "])
def test_what_nats_reads_otherwise_does_not_reach_it(topic: str) -> None:
    assert NATS.topic_problem(topic) is NameProblem.NOT_CARRIED
    assert NATS.filter_problem(topic) is NameProblem.NOT_CARRIED
    assert MQTT.topic_problem(topic) is None


@pytest.mark.parametrize("names", BOTH)
@pytest.mark.parametrize(
    "character", ["\x01", "\t", "\n", "\x1f", "\x7f", "\x80", "\x9f", "\ufdd0", "\ufdef", "\ufffe", "\U0010ffff"]
)
def test_what_is_no_text_does_not_pass(names: Names, character: str) -> None:
    assert names.topic_problem(f"a/{character}") is NameProblem.NOT_CARRIED


@pytest.mark.parametrize("names", BOTH)
def test_the_bound_is_in_bytes(names: Names) -> None:
    assert names.topic_problem("é" * 32) is None
    assert names.topic_problem("é" * 33) is NameProblem.TOO_LONG
    assert names.topic_problem("x" * 65) is NameProblem.TOO_LONG
    assert names.filter_problem(f"$share/{'g' * 64}/x") is not None


def test_nats_is_given_no_name_that_it_would_lose() -> None:
    for character in ("x", ".", "é"):
        longest = character * (32_000 // len(character.encode()))
        assert Names(Flavour.NATS, 65_535).topic_problem(longest) is None
        assert Names(Flavour.NATS, 65_535).topic_problem(longest + "x") is NameProblem.TOO_LONG
        assert Names(Flavour.MQTT, 65_535).topic_problem(longest + "x") is None


@pytest.mark.parametrize("flavour", Flavour)
def test_the_bound_on_levels_is_exact(flavour: Flavour) -> None:
    names = Names(flavour, 64, 3)
    for name in ("a/b/c", "//", "a//"):
        assert names.topic_problem(name) is None
        assert names.topic_problem(f"{name}/") is NameProblem.TOO_DEEP
        assert names.filter_problem(f"{name}/#") is NameProblem.TOO_DEEP
    assert Names(Flavour.MQTT, 64, 3).filter_problem("$share/group/a/b/c") is None
    assert Names(Flavour.MQTT, 64, 3).filter_problem("$share/group/a/b/c/d") is NameProblem.TOO_DEEP


@pytest.mark.parametrize("shared", ["a", "a/#", "$aws/x", "+/x"])
def test_shared_subscriptions_go_where_they_work(shared: str) -> None:
    assert MQTT.filter_problem(f"$share/group/{shared}") is None
    assert NATS.filter_problem(f"$share/group/{shared}") is NameProblem.SHARED


@pytest.mark.parametrize("shared", ["$SYS/#", "$share/other/x", "$JS/x"])
def test_nothing_reserved_hides_behind_a_share(shared: str) -> None:
    assert MQTT.filter_problem(f"$share/group/{shared}") is NameProblem.RESERVED


@pytest.mark.parametrize("malformed", ["$share", "$share/", "$share/g", "$share//x", "$share/+/x", "$share/g/"])
def test_a_share_that_is_none_does_not_pass(malformed: str) -> None:
    assert MQTT.filter_problem(malformed) is not None
