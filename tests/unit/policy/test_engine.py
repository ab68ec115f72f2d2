"""One decision after another, by hand; what holds for all of them stands in ``test_properties.py``."""

import ast
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.policy.samples import CONTEXT, deny, policy, statement

import troth.policy
from troth.errors import Fault, Kind
from troth.limits import DECISION_CACHED_CHARS_MAX, DECISIONS_CACHED_MAX, MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action
from troth.policy.compiled import Compiled, Compiler
from troth.policy.decision import Deciding, Outcome
from troth.policy.engine import Grant, make_grant
from troth.policy.vectors import ENGINES, Engine

BEFORE = datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1024 * 1024

both_engines = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)


@both_engines
def test_reasons(engine: Engine) -> None:
    policies = [policy(statement(resource="topic/*"), deny(resource="topic/b")), policy(deny("*", "*"), name="late")]
    decisions = [
        engine(policies[:1], "iot:Publish", "a", CONTEXT),
        engine(policies, "iot:Publish", "b", CONTEXT),
        engine(policies, "iot:Publish", "a", CONTEXT),
        engine(policies[:1], "IOT:receive", "home/x", CONTEXT),
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
@both_engines
def test_the_first_statement_that_applies_is_named(
    engine: Engine, make: Callable[..., dict[str, object]], resources: list[str], first: int
) -> None:
    policies = [policy(*(make(resource=resource) for resource in resources))]
    assert engine(policies, "iot:Publish", "a", CONTEXT).deciding == Deciding("tank", first, None)


@both_engines
def test_a_reason_is_short_and_printable_whatever_the_device_asks(engine: Engine) -> None:
    decision = engine([], "iot:Publish", "a\n\x1b[31m\u202e" + "x" * 1000, CONTEXT)
    assert decision.reason.isprintable()
    assert len(decision.reason) < 200


@both_engines
def test_an_action_that_does_not_exist(engine: Engine) -> None:
    with pytest.raises(Fault) as caught:
        engine([], "iot:Fly", "a", CONTEXT)
    assert caught.value.kind is Kind.UNSUPPORTED


@both_engines
def test_every_action_has_its_type_of_resource(engine: Engine) -> None:
    everything = [policy(statement("*", "*"))]
    assert all(engine(everything, action, "x", CONTEXT).allowed for action in Action)
    asked = [(action, engine([], action, "x", CONTEXT).resource) for action in Action]
    assert {resource for _, resource in asked} == {
        "client/x",
        "topic/x",
        "topicfilter/x",
        "thing/x",
        "rolealias/x",
        "*",
    }


@both_engines
def test_listing_retained_messages_is_about_everything(engine: Engine) -> None:
    asked = ("iot:ListRetainedMessages", "*", CONTEXT)
    assert engine([policy(statement("iot:*", "*"))], *asked).allowed
    assert not engine([policy(statement("iot:*", "topic/*"))], *asked).allowed


@both_engines
def test_a_name_that_is_too_long_is_denied(engine: Engine) -> None:
    everything = [policy(statement("*", "*"))]
    name = "x" * (MATCHED_TEXT_CHARS_MAX + 1)
    assert engine(everything, "iot:Publish", name, CONTEXT).outcome is Outcome.IMPLICIT_DENY
    assert engine(everything, "iot:Publish", name[1:], CONTEXT).outcome is Outcome.ALLOW
    grant = make_grant(everything, CONTEXT)
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


def test_only_what_the_time_decides_is_decided_every_time() -> None:
    now = Counted()
    timed = statement(resource="topic/t/*", condition={"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}})
    elsewhere = deny(resource="topic/t/*", condition={"StringEquals": {"iot:ClientId": "x", "aws:EpochTime": "1"}})
    grant = make_grant([policy(timed, elsewhere, statement(resource="topic/a"))], CONTEXT, now)
    assert grant.may_publish("a")
    assert not grant.may_publish("b")
    assert now.calls == 0
    assert not grant.may_publish("t/1")
    assert not grant.may_publish("t/1")
    assert now.calls == 2
    assert grant._publish == {"a": True, "b": False}


@pytest.mark.parametrize("key", ["troth:CertificateAgeDays", "troth:CertificateDaysLeft", "aws:EpochTime"])
def test_an_answer_changes_with_the_days(key: str) -> None:
    clock = [AFTER]
    context = replace(CONTEXT, current_time=AFTER, not_before=AFTER, not_after=AFTER + timedelta(days=90))
    (first,) = {"troth:CertificateAgeDays": ("0",), "troth:CertificateDaysLeft": ("90",)}.get(key, ("1767225600",))
    policies = [policy(statement(condition={"NumericEquals": {key: first}}))]
    grant = make_grant(policies, context, lambda: clock[-1])
    assert grant.may_publish("a")
    clock.append(AFTER + timedelta(days=1))
    assert not grant.may_publish("a")
    assert make_grant(policies, context).may_publish("a"), "without a clock, time stands still"


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


@pytest.mark.parametrize(("character", "mib"), [("a", 0.5), ("\U0001f600", 1.4)])
def test_a_client_that_invents_topics_fills_no_more_than_this(character: str, mib: float) -> None:
    grant = make_grant([policy(statement("*", "*"))], CONTEXT)
    ask = (grant.may_publish, grant.may_retain, grant.may_subscribe, grant.may_receive)
    for may in ask:
        may("first")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(2 * DECISIONS_CACHED_MAX - 2):
        for may in ask:
            may(f"{number:06}{character * DECISION_CACHED_CHARS_MAX}"[:DECISION_CACHED_CHARS_MAX])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5 * mib * MIB < after - before < mib * MIB


def test_a_set_of_policies_is_compiled_once() -> None:
    compiler = Compiler(kept_max=1)
    own, other = policy(statement()), policy(deny())
    first = compiler.compile([own])
    assert compiler.compile([replace(own, target="lamp-8")]) is first
    assert compiler.compile([policy(statement())]) is not first, "another document, though it says the same"
    assert compiler.compile([own]) is not first, "of sets, so many are kept"
    assert compiler.compile([own, other]) is not compiler.compile([other, own])


def test_what_all_may_is_held_once() -> None:
    compiled = Compiled([policy(statement(resource=[f"topic/{number}" for number in range(100)]))])
    first, second = (Grant(compiled, replace(CONTEXT, client_id=name)) for name in ("a", "b"))
    assert first.may_publish("1")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    assert second.may_publish("1")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4096


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
