"""Explanations: they decide what the engines decide, name the first thing that failed, and say what is true."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.unit.policy.samples import (
    CONTEXT,
    CONTEXTS,
    POLICIES,
    REQUESTS,
    THING,
    arn,
    deny,
    policy,
    statement,
)

from troth.errors import Fault
from troth.limits import MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action
from troth.policy.attachment import NamedPolicy
from troth.policy.catalogue import NEVER, find_key, suggest_key, why_absent
from troth.policy.context import ConnectionContext, Thing, connection_keys, request_keys
from troth.policy.decision import Decision, Outcome
from troth.policy.engine import make_grant
from troth.policy.explain import explain
from troth.policy.explanation import ActionFailed, ConditionFailed, Explanation, ResourceFailed
from troth.policy.reference import evaluate
from troth.policy.vectors import Vector, read_vectors
from troth.policy.wording import as_value, change, describe, render

PATH = Path(__file__).parent / "vectors" / "policy-vectors.json"
VECTORS = [vector for vector in read_vectors(PATH.read_text()) if isinstance(vector, Vector)]


def ask(
    *statements: dict[str, Any],
    action: str = "iot:Publish",
    resource: str = "a",
    context: ConnectionContext = CONTEXT,
    version: str | None = "2012-10-17",
) -> Explanation:
    return explain([policy(*statements, version=version)], action, resource, context)


def first(explanation: Explanation) -> str:
    return describe(explanation.verdicts[0].failures[0])[0]


def test_every_vector_is_explained_as_it_is_decided() -> None:
    for vector in VECTORS:
        asked = vector.question
        decision = evaluate(vector.policies, asked.action, asked.resource, asked.context)
        agree(vector.policies, asked.action, asked.resource, asked.context, decision)
        assert decision.outcome is vector.expect, asked.name


@given(POLICIES, REQUESTS, CONTEXTS)
def test_any_request_is_explained_as_it_is_decided(
    policies: list[NamedPolicy], request: tuple[str, str], context: ConnectionContext
) -> None:
    agree(policies, *request, context, make_grant(policies, context).decide(*request))


def agree(
    policies: Sequence[NamedPolicy], action: str, resource: str, context: ConnectionContext, decision: Decision
) -> None:
    """Hold an explanation to the decision, and each of its verdicts to the statement alone."""
    explanation = explain(policies, action, resource, context)
    assert explanation.decision == decision
    keys = request_keys(connection_keys(context), context, explanation.decision.action)
    statements = [each for policy in policies for each in policy.document.statements]
    assert [verdict.applies for verdict in explanation.verdicts] == [
        decision.action in each.actions and each.applies(explanation.arn, keys) for each in statements
    ]
    assert bool(change(explanation)) != decision.allowed
    assert render(explanation).startswith(f"{decision.outcome}: {decision.reason}\n")
    assert render(explanation).replace("\n", "").isprintable()
    json.dumps(as_value(explanation))


@given(POLICIES, REQUESTS, CONTEXTS)
def test_without_what_failed_a_statement_applies(
    policies: list[NamedPolicy], request: tuple[str, str], context: ConnectionContext
) -> None:
    action, resource = request
    explanation = explain(policies, action, resource, context)
    keys = request_keys(connection_keys(context), context, explanation.decision.action)
    statements = [each for policy in policies for each in policy.document.statements]
    for each, verdict in zip(statements, explanation.verdicts, strict=True):
        if any(isinstance(failure, ActionFailed | ResourceFailed) for failure in verdict.failures):
            continue
        failed = {
            (failure.operator, failure.key) for failure in verdict.failures if isinstance(failure, ConditionFailed)
        }
        kept = tuple(
            condition
            for condition, written in zip(each.conditions, each.written.conditions, strict=True)
            if (written.operator, written.key) not in failed
        )
        assert replace(each, conditions=kept).applies(explanation.arn, keys)


class TestWhatFailed:
    def test_the_action(self) -> None:
        assert first(ask(statement("iot:Connect"))) == 'Action: iot:Publish is not among "iot:Connect"'

    def test_an_excepted_action(self) -> None:
        excepting = {"Effect": "Allow", "NotAction": "iot:Pub*", "Resource": "*"}
        assert first(ask(excepting)) == 'NotAction: iot:Publish is excepted by "iot:Pub*"'

    def test_the_resource_with_what_was_substituted(self) -> None:
        explanation = ask(statement(resource="topic/${iot:ClientId}/*"), resource="lamp-8/x")
        assert describe(explanation.verdicts[0].failures[0]) == [
            "Resource: no pattern matches",
            f"  {arn('topic/${iot:ClientId}/*')}",
            f"  = {arn('topic/lamp-9/*')} for this request",
        ]
        assert change(explanation) == ["statement 1 of policy tank would allow it, if it were about topic/lamp-9/*"]

    def test_substituted_text_is_shown_to_be_literal(self) -> None:
        context = replace(CONTEXT, client_id="*", thing=None)
        (failure,) = ask(statement(resource="topic/${iot:ClientId}"), context=context).verdicts[0].failures
        assert isinstance(failure, ResourceFailed)
        assert failure.patterns[0].here == arn("topic/${*}")

    def test_a_certificate_attribute_that_is_not_substituted(self) -> None:
        certificate = replace(CONTEXT.certificate, subject={"CommonName": ("a+b",)})
        context = replace(CONTEXT, certificate=certificate)
        pattern = "topic/${iot:Certificate.Subject.CommonName}"
        (failure,) = ask(statement(resource=pattern), context=context).verdicts[0].failures
        assert isinstance(failure, ResourceFailed)
        assert failure.patterns[0].here == arn(pattern)

    def test_a_resource_that_is_excepted(self) -> None:
        excepting = {"Effect": "Allow", "Action": "*", "NotResource": [arn("topic/b"), arn("topic/${iot:ClientId}*")]}
        explanation = ask(excepting, resource="lamp-9/x")
        assert describe(explanation.verdicts[0].failures[0]) == [
            "NotResource: the resource is excepted by",
            f"  {arn('topic/${iot:ClientId}*')}",
            f"  = {arn('topic/lamp-9*')} for this request",
        ]
        assert "what does not match" in change(explanation)[0]

    def test_a_variable_without_value_and_why(self) -> None:
        context = replace(CONTEXT, thing=None)
        text = render(ask(statement(resource="topic/${iot:Connection.Thing.ThingName}"), context=context))
        assert (
            "${iot:Connection.Thing.ThingName} has no value: the client id is not the name of a thing that the "
            "certificate is attached to"
        ) in text

    def test_a_condition_with_both_values(self) -> None:
        explanation = ask(
            statement(condition={"StringLike": {"iot:ClientId": "${iot:Certificate.Subject.CommonName}x"}})
        )
        wanted = '"${iot:Certificate.Subject.CommonName}x = lamp-9x"'
        assert first(explanation) == f'Condition: iot:ClientId is "lamp-9"; StringLike wants {wanted}'
        assert change(explanation) == [
            f'statement 1 of policy tank would allow it, if iot:ClientId satisfied StringLike {wanted} (it is "lamp-9")'
        ]

    def test_a_key_that_is_absent(self) -> None:
        explanation = ask(statement(condition={"StringEquals": {"iot:LastWillTopic": "x"}}))
        assert first(explanation) == (
            'Condition: iot:LastWillTopic is absent (only iot:Connect has it); StringEquals wants "x"'
        )

    def test_a_condition_without_a_value(self) -> None:
        explanation = ask(statement(condition={"StringEquals": {"iot:ClientId": []}}))
        assert first(explanation).endswith("StringEquals wants no value at all")

    def test_which_condition_of_several(self) -> None:
        explanation = ask(
            statement(
                condition={"StringEquals": {"iot:ClientId": "lamp-9", "aws:SourceIp": "x"}, "Null": {"x:Y": "false"}}
            )
        )
        failures = explanation.verdicts[0].failures
        assert [f.key for f in failures if isinstance(f, ConditionFailed)] == ["aws:SourceIp", "x:Y"]

    def test_variables_are_text_in_the_older_version(self) -> None:
        (failure,) = ask(statement(resource="topic/${iot:ClientId}"), version="2008-10-17").verdicts[0].failures
        assert isinstance(failure, ResourceFailed)
        assert failure.patterns[0].here == arn("topic/${iot:ClientId}")


class TestNearMisses:
    @pytest.mark.parametrize(
        ("pattern", "action", "resource", "note"),
        [
            ("topic/A/*", "iot:Publish", "a/x", "it differs in case alone, and case counts"),
            ("topic/a/+/c", "iot:Publish", "a/b/c", "'+' and '#' are ordinary characters"),
            ("topic/a/#", "iot:Publish", "a/b/c", "'+' and '#' are ordinary characters"),
            ("topic/a/*", "iot:Publish", "a", "what is below it is covered, and it itself is not"),
            ("topic/a", "iot:Publish", "a/x", "what is below it is not covered"),
            ("topic/a", "iot:Subscribe", "a", "it is about a topic, and the request is about a topicfilter"),
        ],
    )
    def test_is_noted(self, pattern: str, action: str, resource: str, note: str) -> None:
        assert note in render(ask(statement(action, pattern), action=action, resource=resource))

    def test_another_region(self) -> None:
        text = render(ask({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:iot:eu-*:000000000000:topic/a"}))
        assert "note: it is for region eu-*, and the request is for local" in text

    def test_nothing_is_noted_of_what_is_far_off(self) -> None:
        assert "note:" not in render(ask(statement(resource="topic/b*"), resource="c"))


class TestWhatWouldHaveToChange:
    def test_nothing_when_it_is_allowed(self) -> None:
        assert change(ask(statement())) == []

    def test_a_deny_goes_first(self) -> None:
        explanation = explain(
            [policy(deny(), statement(), name="a"), policy(deny(), name="b")], "iot:Publish", "a", CONTEXT
        )
        assert explanation.decision.outcome is Outcome.EXPLICIT_DENY
        assert [(verdict.policy, verdict.number) for verdict in explanation.deciding] == [("a", 1), ("b", 1)]
        assert change(explanation) == [
            "statement 1 of policy a must no longer apply: it denies, whatever else allows",
            "statement 1 of policy b must no longer apply: it denies, whatever else allows",
        ]
        assert "so do: statement 1 of policy b" in render(explanation)

    def test_a_deny_and_no_allow(self) -> None:
        assert change(ask(deny(), statement(resource="topic/b"))) == [
            "statement 1 of policy tank must no longer apply: it denies, whatever else allows",
            "statement 2 of policy tank would allow it, if it were about topic/b",
        ]

    def test_what_lacks_least_comes_first(self) -> None:
        far = statement(resource="topic/b", condition={"Bool": {"iot:Connection.Thing.IsAttached": "false"}})
        lines = change(ask(far, statement(resource="topic/c")))
        assert [line.partition(" of ")[0] for line in lines] == ["statement 2", "statement 1"]

    def test_no_statement_names_the_action(self) -> None:
        assert change(ask(statement("iot:Connect"))) == [
            "a statement with the effect Allow would have to name iot:Publish; none does"
        ]

    def test_what_it_says_of_the_resource_is_true(self) -> None:
        asked = statement("iot:Connect", "client/${iot:Certificate.Subject.CommonName}")
        explanation = ask(asked, action="iot:Connect", resource="x")
        assert change(explanation) == ["statement 1 of policy tank would allow it, if it were about client/lamp-9"]
        assert ask(asked, action="iot:Connect", resource="lamp-9").decision.allowed

    def test_no_policy_at_all(self) -> None:
        assert "no policy is attached" in render(explain([], "iot:Publish", "a", CONTEXT))

    def test_a_policy_without_a_statement(self) -> None:
        assert 'without a statement: "tank"' in render(ask())


def test_a_name_too_long_to_be_matched_is_denied_and_explained() -> None:
    explanation = ask(statement(resource="*"), resource="a" * (MATCHED_TEXT_CHARS_MAX + 1))
    assert explanation.decision == evaluate(
        [policy(statement(resource="*"))], "iot:Publish", "a" * (MATCHED_TEXT_CHARS_MAX + 1), CONTEXT
    )
    assert change(explanation) == ["the name is longer than any that a policy is asked about"]
    assert len(render(explanation)) < 1000


def test_an_action_that_is_none_is_a_fault() -> None:
    with pytest.raises(Fault, match="is not an action"):
        ask(action="iot:Drink")


def test_hostile_names_are_shown_printable() -> None:
    assert "\\x1b" in render(ask(statement(resource="topic/b"), resource="\x1b[2J"))


class TestCatalogue:
    def test_has_every_key_that_a_request_can_have(self) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        full = replace(
            CONTEXT,
            domain_name="x",
            current_time=now,
            connect_attributes=("LastWill",),
            last_will_topic="a",
            tls_version="1.3",
            not_before=now,
            not_after=now,
            enrollment_method="token",
            key_protection="tpm",
        )
        for context in (full, *(vector.question.context for vector in VECTORS)):
            keys = request_keys(connection_keys(context), context, Action.CONNECT)
            assert not [name for name in keys.single if (key := find_key(name)) is None or key.multiple]
            assert not [name for name in keys.multiple if (key := find_key(name)) is None or not key.multiple]

    def test_keeps_the_case_of_a_thing_attribute(self) -> None:
        key = find_key("iot:connection.thing.attributes[Room]")
        assert key is not None
        assert key.name == "iot:Connection.Thing.Attributes[Room]"

    @pytest.mark.parametrize("name", ["iot:thing.thingname", "aws:username", "iot:connection.thing.attributes[]", ""])
    def test_knows_no_other(self, name: str) -> None:
        assert find_key(name) is None

    def test_suggests_what_is_meant(self) -> None:
        assert suggest_key("iot:thing.thingname") == "iot:Connection.Thing.ThingName"
        assert suggest_key("iot:clientld") == "iot:ClientId"
        assert suggest_key("aws:username") is None

    @pytest.mark.parametrize(
        ("name", "context", "why"),
        [
            ("iot:clientid", replace(CONTEXT, protocol="https"), "there is no client id over HTTPS"),
            ("iot:connection.thing.thingname", replace(CONTEXT, protocol="https"), "a thing is known over MQTT only"),
            ("iot:connection.thing.attributes[x]", CONTEXT, "thing lamp-9 has no attribute x"),
            (
                "iot:connection.thing.thingtypename",
                replace(CONTEXT, thing=Thing(THING.name)),
                "thing lamp-9 has no type",
            ),
            ("iot:certificate.subject.country", CONTEXT, "the certificate does not have it"),
            ("iot:domainname", CONTEXT, "the client asked for no server name"),
            ("iot:nosuch", CONTEXT, "there is no such key"),
            *((name, CONTEXT, why) for name, why in NEVER.items()),
        ],
    )
    def test_says_why_a_key_is_absent(self, name: str, context: ConnectionContext, why: str) -> None:
        assert why_absent(name, context, Action.PUBLISH) == why
