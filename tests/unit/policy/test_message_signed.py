"""``troth:MessageSigned``: decided for each message, and by default not."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from troth.limits import DEFAULT
from troth.names import Realm
from troth.policy.actions import Action
from troth.policy.attachment import NamedPolicy, TargetKind
from troth.policy.context import ConnectionContext, Thing
from troth.policy.decision import Outcome
from troth.policy.document import parse_document
from troth.policy.engine import Grant, make_grant
from troth.policy.reference import evaluate
from troth.policy.situation import read_context

NOW = datetime(2026, 6, 1, tzinfo=UTC)
REALM = Realm()


def context(**described: object) -> ConnectionContext:
    return read_context(described, "context", REALM)


def meter(of_type: str = "meter") -> ConnectionContext:
    return replace(context(), client_id="meter-7", thing=Thing("meter-7", of_type))


def policy(*statements: dict[str, object]) -> NamedPolicy:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return NamedPolicy("p", parse_document(text, DEFAULT), TargetKind.THING, "meter-7")


def statement(
    effect: str, topic: str, signed: str, action: str = "iot:Publish", more: dict[str, object] | None = None
) -> dict[str, object]:
    condition = {"Bool": {"troth:MessageSigned": signed}, **(more or {})}
    return {"Effect": effect, "Action": action, "Resource": REALM.arn("topic", topic), "Condition": condition}


def grant(*statements: dict[str, object], of_type: str = "meter") -> Grant:
    return make_grant([policy(*statements)], meter(of_type), lambda: NOW)


EVERYTHING: dict[str, object] = {"Effect": "Allow", "Action": "iot:*", "Resource": "*"}


def test_a_message_is_allowed_where_it_is_signed() -> None:
    asked = grant(statement("Allow", "home/*", "true"))
    assert asked.may_if_signed(Action.PUBLISH, "home/power") is True
    assert asked.may_if_signed(Action.PUBLISH, "elsewhere") is None
    assert not asked.may_publish("home/power")
    assert not asked.decide(Action.PUBLISH, "home/power").allowed
    assert asked.decide(Action.PUBLISH, "home/power", message_signed=True).allowed


def test_nothing_passes_unseen_where_unsigned_messages_are_denied() -> None:
    asked = grant(EVERYTHING, statement("Deny", "home/*", "false"))
    # Said of every message, whatever it is: so it is no, until the message is looked at.
    assert not asked.may_publish("home/power")
    assert asked.decide(Action.PUBLISH, "home/power").outcome is Outcome.EXPLICIT_DENY
    assert asked.decide(Action.PUBLISH, "home/power", message_signed=True).allowed
    assert asked.may_publish("elsewhere")


def test_a_thing_type_can_ask_for_signed_messages() -> None:
    of_meters: dict[str, object] = {"StringEquals": {"iot:Connection.Thing.ThingTypeName": "meter"}}
    rule = statement("Deny", "*", "false", more=of_meters)
    assert not grant(EVERYTHING, rule).may_publish("home/power")
    assert grant(EVERYTHING, rule, of_type="lamp").may_publish("home/power")
    assert grant(EVERYTHING, rule, of_type="lamp").may_if_signed(Action.PUBLISH, "home/power") is None


def test_a_signed_message_that_is_denied_does_not_pass_as_one_that_is_not() -> None:
    asked = grant(EVERYTHING, statement("Deny", "home/*", "true"))
    assert not asked.may_publish("home/power")
    assert asked.may_if_signed(Action.PUBLISH, "home/power") is False
    assert asked.decide(Action.PUBLISH, "home/power").allowed


def test_retaining_asks_too_and_receiving_does_not_wait() -> None:
    asked = grant(statement("Allow", "home/*", "true", "iot:*"), statement("Allow", "home/a", "false", "iot:Receive"))
    assert asked.may_if_signed(Action.RETAIN_PUBLISH, "home/a") is True
    assert not asked.may_retain("home/a")
    assert asked.may_receive("home/a")
    assert not asked.may_receive("home/b")


@pytest.mark.parametrize("signed", [True, False])
def test_the_specification_decides_the_same(signed: bool) -> None:
    policies = [policy(EVERYTHING, statement("Deny", "home/*", "false"))]
    asked = replace(meter(), message_signed=signed)
    for topic in ("home/power", "elsewhere"):
        expected = evaluate(policies, "iot:Publish", topic, asked)
        assert make_grant(policies, asked).decide("iot:Publish", topic) == expected
        assert (
            make_grant(policies, context(), lambda: NOW).decide("iot:Publish", topic, message_signed=signed) == expected
        )


def test_people_can_ask_for_either() -> None:
    assert not context().message_signed
    assert context(messageSigned=True).message_signed


def test_what_also_depends_on_the_time_is_decided_each_time() -> None:
    until = {"DateLessThan": {"aws:CurrentTime": "2026-06-01T12:00:00Z"}}
    moments = iter([NOW, NOW, NOW.replace(hour=13)])
    asked = make_grant([policy(statement("Allow", "home/*", "true", more=dict(until)))], meter(), lambda: next(moments))
    assert [asked.may_if_signed(Action.PUBLISH, "home/a") for _ in range(3)] == [True, True, False]


def test_signed_or_not_it_may_be_denied_and_that_is_remembered() -> None:
    asked = grant(statement("Allow", "home/*", "true"), {**EVERYTHING, "Effect": "Deny"})
    assert [asked.may_if_signed(Action.PUBLISH, "home/a") for _ in range(2)] == [False, False]
