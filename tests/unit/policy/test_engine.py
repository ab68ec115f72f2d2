import ast
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.samples import CONTEXT, CONTEXTS, POLICIES, REQUESTS, STATEMENTS, deny, policy, statement

import troth.policy
from troth.errors import Fault, Kind
from troth.limits import DECISION_CACHED_CHARS_MAX, DECISIONS_CACHED_MAX, MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext
from troth.policy.decision import Deciding, Outcome
from troth.policy.engine import Grant, make_grant
from troth.policy.reference import evaluate

REQUEST = tuple[str, str]
BEFORE = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2026, 1, 1, tzinfo=UTC)


def hot(grant: Grant, action: str) -> Callable[[str], bool] | None:
    methods = {
        "iot:Publish": grant.may_publish,
        "iot:RetainPublish": grant.may_retain,
        "iot:Subscribe": grant.may_subscribe,
        "iot:Receive": grant.may_receive,
    }
    return methods.get(action)


@given(policies=POLICIES, context=CONTEXTS, requests=st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_grant_decides_what_a_fresh_evaluation_decides(
    policies: list[NamedPolicy], context: ConnectionContext, requests: list[REQUEST]
) -> None:
    grant = make_grant(policies, context)
    for action, name in [*requests, *requests]:  # the second time, some answers are remembered
        decision = evaluate(policies, action, name, context)
        assert grant.decide(action, name) == decision
        may = hot(grant, action)
        assert may is None or may(name) is decision.allowed


@given(policies=POLICIES, context=CONTEXTS, requests=st.lists(REQUESTS, min_size=1, max_size=6))
def test_a_grant_goes_with_the_time(
    policies: list[NamedPolicy], context: ConnectionContext, requests: list[REQUEST]
) -> None:
    moments = [BEFORE]
    grant = make_grant(policies, context, now=lambda: moments[-1])
    for moment in (BEFORE, AFTER, BEFORE):
        moments.append(moment)
        for action, name in requests:
            decision = evaluate(policies, action, name, replace(context, current_time=moment))
            assert grant.decide(action, name) == decision
            may = hot(grant, action)
            assert may is None or may(name) is decision.allowed


@given(policies=POLICIES, context=CONTEXTS, request=REQUESTS)
def test_a_deny_wins(policies: list[NamedPolicy], context: ConnectionContext, request: REQUEST) -> None:
    with_deny = [*policies, policy(deny("*", "*"))]
    assert evaluate(with_deny, *request, context).outcome is Outcome.EXPLICIT_DENY


@given(policies=POLICIES, context=CONTEXTS, request=REQUESTS)
def test_only_an_allow_allows(policies: list[NamedPolicy], context: ConnectionContext, request: REQUEST) -> None:
    decision = evaluate(policies, *request, context)
    effects = {each.effect for named in policies for each in named.document.statements}
    assert not decision.allowed or "Allow" in effects


@given(data=st.data(), policies=POLICIES, context=CONTEXTS, request=REQUESTS)
def test_order_and_duplicates_do_not_matter(
    data: st.DataObject, policies: list[NamedPolicy], context: ConnectionContext, request: REQUEST
) -> None:
    shuffled = data.draw(st.permutations([*policies, *policies[:1]]))
    assert evaluate(shuffled, *request, context).outcome is evaluate(policies, *request, context).outcome


@given(policies=POLICIES, added=STATEMENTS, context=CONTEXTS, request=REQUESTS)
def test_an_allow_takes_nothing_and_a_deny_gives_nothing(
    policies: list[NamedPolicy], added: dict[str, object], context: ConnectionContext, request: REQUEST
) -> None:
    before = evaluate(policies, *request, context)
    after = evaluate([*policies, policy(added)], *request, context)
    if added["Effect"] == "Allow":
        assert after.allowed or not before.allowed
    else:
        assert before.allowed or not after.allowed


def test_reasons() -> None:
    policies = [policy(statement(resource="topic/*"), deny(resource="topic/b")), policy(deny("*", "*"), name="late")]
    decisions = [
        evaluate(policies[:1], "iot:Publish", "a", CONTEXT),
        evaluate(policies, "iot:Publish", "b", CONTEXT),
        evaluate(policies, "iot:Publish", "a", CONTEXT),
        evaluate(policies[:1], "IOT:receive", "home/x", CONTEXT),
    ]
    assert [decision.reason for decision in decisions] == [
        "allowed by statement 1 of policy tank",
        "denied by statement 2 of policy tank",
        "denied by statement 1 of policy late",
        "no statement allows iot:Receive on topic/home/x",
    ]
    assert decisions[1].deciding == Deciding("tank", 2, None)
    assert decisions[3].deciding is None


@pytest.mark.parametrize(
    ("resources", "first"),
    [
        (["topic/a", "topic/*"], 1),
        (["topic/*", "topic/a"], 1),
        (["topic/a", "topic/a"], 1),
        (["topic/b", "topic/a", "topic/*"], 2),
        (["topic/b*", "topic/a*", "topic/a"], 2),
    ],
)
@pytest.mark.parametrize("make", [statement, deny])
def test_the_first_statement_that_applies_is_named(
    make: Callable[..., dict[str, object]], resources: list[str], first: int
) -> None:
    policies = [policy(*(make(resource=resource) for resource in resources))]
    for decision in (
        evaluate(policies, "iot:Publish", "a", CONTEXT),
        make_grant(policies, CONTEXT).decide("iot:Publish", "a"),
    ):
        assert decision.deciding == Deciding("tank", first, None)


def test_a_reason_is_short_and_printable_whatever_the_device_asks() -> None:
    decision = evaluate([], "iot:Publish", "a\n\x1b[31m\u202e" + "x" * 1000, CONTEXT)
    assert decision.reason.isprintable()
    assert len(decision.reason) < 200


def test_an_action_that_does_not_exist() -> None:
    grant = make_grant([], CONTEXT)
    for ask in (grant.decide, lambda action, name: evaluate([], action, name, CONTEXT)):
        with pytest.raises(Fault) as caught:
            ask("iot:Fly", "a")
        assert caught.value.kind is Kind.UNSUPPORTED


def test_every_action_has_its_type_of_resource() -> None:
    everything = [policy(statement("*", "*"))]
    assert all(evaluate(everything, action, "x", CONTEXT).allowed for action in Action)
    asked = [(action, evaluate([], action, "x", CONTEXT).resource) for action in Action]
    assert {resource for _, resource in asked} == {
        "client/x",
        "topic/x",
        "topicfilter/x",
        "thing/x",
        "rolealias/x",
        "*",
    }


def test_listing_retained_messages_is_about_everything() -> None:
    asked = ("iot:ListRetainedMessages", "*", CONTEXT)
    assert evaluate([policy(statement("iot:*", "*"))], *asked).allowed
    assert not evaluate([policy(statement("iot:*", "topic/*"))], *asked).allowed


def test_a_name_that_is_too_long_is_denied() -> None:
    everything = [policy(statement("*", "*"))]
    grant = make_grant(everything, CONTEXT)
    name = "x" * (MATCHED_TEXT_CHARS_MAX + 1)
    assert evaluate(everything, "iot:Publish", name, CONTEXT).outcome is Outcome.IMPLICIT_DENY
    assert grant.decide("iot:Publish", name).outcome is Outcome.IMPLICIT_DENY
    assert not grant.may_publish(name)
    assert grant.may_publish(name[1:])


class Counted:
    """A `now` that counts how often it is asked: once for every decision that is not remembered."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> datetime:
        self.calls += 1
        return AFTER


def test_what_reads_the_time_is_decided_every_time() -> None:
    now = Counted()
    timed = statement(condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}})
    grant = make_grant([policy(timed, statement("iot:Receive"))], CONTEXT, now)
    assert not grant.may_publish("a")
    assert not grant.may_publish("a")
    assert now.calls == 2
    assert grant.may_receive("a")
    assert now.calls == 2


def test_a_variable_of_time_is_substituted_every_time() -> None:
    moments = [BEFORE]
    timed = policy(statement(resource="topic/${aws:EpochTime}"))
    grant = make_grant([timed], CONTEXT, lambda: moments[-1])
    name = str(int(AFTER.timestamp()))
    assert not grant.may_publish(name)
    moments.append(AFTER)
    assert grant.may_publish(name)


def test_what_is_remembered_is_bounded() -> None:
    grant = make_grant([policy(statement(resource="topic/a*"))], CONTEXT)
    known = grant._publish
    sizes = set()
    for number in range(3 * DECISIONS_CACHED_MAX):
        assert grant.may_publish(f"a{number}")
        assert not grant.may_publish(f"b{number}")
        sizes.add(len(known))
    assert max(sizes) == DECISIONS_CACHED_MAX
    known.clear()
    assert grant.may_publish("a" * (DECISION_CACHED_CHARS_MAX + 1))
    assert not known
    assert grant.may_publish("a" * DECISION_CACHED_CHARS_MAX)
    assert known == {"a" * DECISION_CACHED_CHARS_MAX: True}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_regular_expressions_here() -> None:
    modules = sorted(Path(troth.policy.__file__).parent.rglob("*.py"))
    assert len(modules) >= 10
    for module in modules:
        assert {"re", "fnmatch", "glob", "regex"}.isdisjoint(imported(module)), module
