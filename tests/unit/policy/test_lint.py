"""Lint: every rule has its section and finds what that shows; what is meant is not found; AWS's examples come out."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.samples import CONTEXTS, POLICIES, REALM, REQUESTS, arn, deny, document, statement

from troth.limits import POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext
from troth.policy.document import parse_document
from troth.policy.lint import RULES, Finding, lint
from troth.policy.lint.patterns import covers
from troth.policy.pattern import parse_resource
from troth.policy.reference import evaluate
from troth.policy.statement import Document

PAGE = Path(__file__).parents[3] / "docs" / "policies" / "lint.md"
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S))


def codes(*statements: dict[str, Any], version: str | None = "2012-10-17") -> list[str]:
    return [finding.code for finding in lint(document(*statements, version=version))]


def find(code: str, *statements: dict[str, Any], version: str | None = "2012-10-17") -> list[Finding]:
    return [finding for finding in lint(document(*statements, version=version), REALM) if finding.code == code]


class TestDocumentation:
    def test_every_code_has_a_section_and_every_section_a_code(self) -> None:
        assert list(SECTIONS) == [rule.code for rule in RULES]
        assert len(set(SECTIONS)) == len(RULES)

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
    def test_the_table_says_what_the_rule_is(self, rule: Any) -> None:
        assert f"| [{rule.code}](#{rule.code}) | {rule.level} | " in PAGE.read_text()
        assert (rule.aws is None) or rule.aws in SECTIONS[rule.code]

    @pytest.mark.parametrize("code", SECTIONS)
    def test_examples_are_found_and_mended(self, code: str) -> None:
        (bad,) = blocks(SECTIONS[code], "found")
        (good,) = blocks(SECTIONS[code], "clean")
        found = [finding for finding in lint(parse_document(bad), REALM) if finding.code == code]
        assert found
        assert all(finding.place and finding.reason and finding.remedy for finding in found)
        assert not [finding for finding in lint(parse_document(good), REALM) if finding.code == code]


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```json {kind}\n(.*?)^```$", text, re.M | re.S)


THING = "${iot:Connection.Thing.ThingName}"
ATTACHED = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}


class TestOverlyPermissive:
    """The examples of AWS IoT Device Defender's own page."""

    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("iot:Connect", "client/*"),
            ("iot:Connect", "client/${iot:ClientId}"),
            ("iot:Publish", "topic/$aws/things/*/shadow/update"),
            ("iot:Publish", "topic/$aws/things/*"),
            ("iot:Subscribe", "topicfilter/$aws/things/*"),
            ("iot:Subscribe", "topicfilter/$aws/things/#"),
            ("iot:Subscribe", "topicfilter/$aws/things/+/shadow/update"),
            ("iot:UpdateThingShadow", "thing/*"),
            ("iotjobsdata:UpdateJobExecution", "thing/*"),
            ("iot:*", "*"),
            ("iot:Subscribe", "topicfilter/#"),
        ],
    )
    def test_noncompliant(self, action: str, resource: str) -> None:
        (finding,) = find("overly-permissive", statement(action, resource))
        assert finding.aws == "IOT_POLICY_OVERLY_PERMISSIVE_CHECK"

    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("iot:Connect", f"client/{THING}"),
            ("iot:Publish", f"topic/$aws/things/{THING}/shadow/*"),
            ("iot:Subscribe", f"topicfilter/$aws/things/{THING}/shadow/*"),
            ("iot:Subscribe", f"topicfilter/$aws/things/{THING}/jobs/*"),
            ("iot:Receive", "topic/$aws/things/*"),
            ("iot:UpdateThingShadow", ["thing/MyThing1", "thing/MyThing2"]),
            ("iot:Publish", "topic/home/*"),
            ("iot:ListRetainedMessages", "*"),
        ],
    )
    def test_compliant(self, action: str, resource: str | Sequence[str]) -> None:
        assert not find("overly-permissive", statement(action, resource))

    @pytest.mark.parametrize("resource", ["client/*", "client/${iot:ClientId}"])
    def test_connecting_as_an_attached_thing(self, resource: str) -> None:
        assert not find("overly-permissive", statement("iot:Connect", resource, condition=ATTACHED))

    def test_a_deny_may_be_broad(self) -> None:
        assert not find("overly-permissive", deny("iot:*", "*"))


class TestMisconfigured:
    """The examples of AWS IoT Device Defender's own page, in our realm."""

    ALLOWS = (statement("iot:Subscribe", "topicfilter/building/*"), statement("iot:Receive", "topic/building/*"))

    def test_mqtt_wildcards_in_a_deny(self) -> None:
        denying = deny("iot:Subscribe", "topicfilter/building/control_room/#")
        (finding,) = find("mqtt-wildcard-in-deny", *self.ALLOWS, denying)
        assert finding.aws == "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"
        assert arn("topicfilter/building/control_room/*") in finding.remedy

    def test_filters_that_were_to_be_denied(self) -> None:
        denying = deny("iot:Subscribe", "topicfilter/building/control_room/*")
        (finding,) = find("deny-walked-around", *self.ALLOWS, denying)
        assert finding.aws == "IOT_POLICY_POTENTIAL_MISCONFIGURATION_CHECK"
        assert "a subscription to building/# is allowed" in finding.reason

    @pytest.mark.parametrize("topic", ["topic/building/control_room/*", "topic/building/control_room*", "*"])
    def test_deliveries_denied_as_well(self, topic: str) -> None:
        denying = deny("iot:Subscribe", "topicfilter/building/control_room/*")
        assert not find("deny-walked-around", *self.ALLOWS, denying, deny("iot:Receive", topic))

    def test_deliveries_denied_on_a_condition_are_not_denied(self) -> None:
        denying = deny("iot:Subscribe", "topicfilter/building/control_room/*")
        receive = deny("iot:Receive", "topic/building/control_room/*", condition=ATTACHED)
        assert find("deny-walked-around", *self.ALLOWS, denying, receive)

    def test_deliveries_denied_for_fewer_topics_are_not_denied(self) -> None:
        denying = deny("iot:Subscribe", "topicfilter/building/control_room/*")
        assert find("deny-walked-around", *self.ALLOWS, denying, deny("iot:Receive", "topic/building/control_room/a"))

    def test_no_broader_filter_is_allowed(self) -> None:
        denying = deny("iot:Subscribe", "topicfilter/a/b")
        assert not find("deny-walked-around", statement("iot:Subscribe", "topicfilter/a/?"), deny("iot:Subscribe", "*"))
        assert not find("deny-walked-around", statement("iot:Subscribe", "topicfilter/a/b"), denying)

    def test_another_policy_can_allow_a_broader_one(self) -> None:
        (finding,) = find("deny-walked-around", deny("iot:Subscribe", "topicfilter/a/${iot:ClientId}"))
        assert "a subscription to a/# can be allowed, also by another policy" in finding.reason


class TestClientIds:
    def test_bound_by_the_certificate(self) -> None:
        tied = {"StringEquals": {"iot:ClientId": "${iot:Certificate.Subject.CommonName}"}}
        assert not codes(statement("iot:Connect", "client/*", condition=tied))

    @pytest.mark.parametrize(
        "condition",
        [
            {"Bool": {"iot:Connection.Thing.IsAttached": "false"}},
            {"BoolIfExists": {"iot:Connection.Thing.ThingName": "true"}},
            {"ForAllValues:StringEquals": {"iot:Connection.Thing.ThingName": "a"}},
            {"StringNotEquals": {"iot:ClientId": "${iot:Connection.Thing.ThingName}"}},
            {"StringEquals": {"iot:Certificate.Subject.CommonName": "a"}},
            {"Null": {"iot:Connection.Thing.ThingName": "true"}},
        ],
    )
    def test_not_bound_by(self, condition: dict[str, Any]) -> None:
        assert find("client-id-not-bound", statement("iot:Connect", "client/pump-*", condition=condition))

    @pytest.mark.parametrize(
        "condition",
        [
            ATTACHED,
            {"StringEquals": {"iot:Connection.Thing.IsAttached": "true"}},
            {"StringEquals": {"iot:Connection.Thing.ThingTypeName": "pump"}},
            {"Null": {"iot:Connection.Thing.ThingName": "false"}},
        ],
    )
    def test_bound_by(self, condition: dict[str, Any]) -> None:
        assert not find("client-id-not-bound", statement("iot:Connect", "client/pump-*", condition=condition))

    @pytest.mark.parametrize("resource", ["client/pump", f"client/{THING}", f"client/{THING}-*"])
    def test_names_that_are_bound(self, resource: str) -> None:
        assert not find("client-id-not-bound", statement("iot:Connect", resource))

    def test_no_injection_where_the_client_id_is_bound(self) -> None:
        filters = statement("iot:Subscribe", "topicfilter/${iot:ClientId}")
        assert find("client-id-injection", filters, statement("iot:Connect", "client/*"))
        assert not find("client-id-injection", filters, statement("iot:Connect", "client/*", condition=ATTACHED))
        assert not find("client-id-injection", filters, statement("iot:Connect", "client/pump-*"))
        assert not find("client-id-injection", filters)

    def test_impersonation_is_told_apart(self) -> None:
        (finding,) = find(
            "client-id-injection",
            statement("iot:Publish", "topic/${iot:ClientId}"),
            statement("iot:Connect", "client/*"),
        )
        assert "another's name" in finding.reason


class TestConditions:
    @pytest.mark.parametrize(
        "condition",
        [
            {"StringEquals": {"iot:ClientId": []}},
            {"Null": {"troth:Consent": "false"}},
            {"StringEquals": {"iot:LastWillTopic": "x"}},
            {"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "LastWill"}},
            {"ArnLike": {"iot:ClientId": "a*"}},
        ],
    )
    def test_never_hold(self, condition: dict[str, Any]) -> None:
        assert find("condition-never-holds", statement(condition=condition))

    @pytest.mark.parametrize(
        "condition",
        [
            {"ForAllValues:StringEquals": {"iot:ConnectAttributes": []}},
            {"StringNotEquals": {"iot:ClientId": []}},
            {"StringEqualsIfExists": {"iot:LastWillTopic": "x"}},
            {"Null": {"iot:LastWillTopic": "true"}},
            {"ArnNotLike": {"iot:ClientId": "a*"}},
        ],
    )
    def test_may_hold(self, condition: dict[str, Any]) -> None:
        assert not find("condition-never-holds", statement(condition=condition))

    @pytest.mark.parametrize("value", ["arn:aws:iot:*:*:topic/x", "*/x"])
    def test_a_will_is_an_arn(self, value: str) -> None:
        condition = {"StringLike": {"iot:LastWillTopic": value}}
        assert not find("condition-never-holds", statement("iot:Connect", "client/x", condition=condition))

    def test_for_all_values_of_a_connect(self) -> None:
        condition = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}}
        assert not codes(statement("iot:Connect", "client/x", condition=condition))

    def test_the_character_itself(self) -> None:
        assert not find("literal-wildcard", statement(condition={"StringEquals": {"iot:ClientId": "${*}"}}))
        assert find("literal-wildcard", statement(condition={"StringNotEquals": {"iot:ClientId": "a?"}}))

    @pytest.mark.parametrize(
        ("condition", "holds"),
        [({"StringEquals": {"x:Y": "1"}}, "never"), ({"StringEqualsIfExists": {"x:Y": "1"}}, "always")],
    )
    def test_an_unknown_key_says_what_comes_of_it(self, condition: dict[str, Any], holds: str) -> None:
        (finding,) = find("unknown-condition-key", statement(condition=condition))
        assert f"{holds} holds" in finding.reason

    @pytest.mark.parametrize("key", ["iot:clientid", "iot:Connection.Thing.Attributes[Room]", "aws:CurrentTime"])
    def test_a_known_key(self, key: str) -> None:
        assert not find("unknown-condition-key", statement(condition={"StringEquals": {key: "1"}}))


class TestVariables:
    @pytest.mark.parametrize(
        ("variable", "reason", "remedy"),
        [
            ("iot:Thing.ThingName", "no such variable", "write ${iot:Connection.Thing.ThingName}"),
            ("aws:userid", "no such variable", "leave it out"),
            ("iot:ClientId, 'x'", "defaults for variables are not supported", "leave the default out"),
            ("iot:Certificate.Subject.Country.List", "several values", "compare it in a condition"),
            ("troth:Consent", "reserved", "leave it out"),
            ("iot:LastWillTopic", "only iot:Connect has it", "use it in statements about iot:Connect"),
        ],
    )
    def test_without_value(self, variable: str, reason: str, remedy: str) -> None:
        (finding,) = find("variable-without-value", statement(resource=f"topic/${{{variable}}}"))
        assert reason in finding.reason
        assert finding.remedy == remedy

    def test_in_a_condition(self) -> None:
        (finding,) = find(
            "variable-without-value", statement(condition={"StringEquals": {"iot:ClientId": "${no:Such}"}})
        )
        assert finding.place == "Statement[0].Condition.StringEquals.iot:ClientId"

    @pytest.mark.parametrize("variable", ["iot:clientid", "iot:Certificate.Subject.CommonName.1", "aws:SourceIp", "*"])
    def test_with_value(self, variable: str) -> None:
        assert not find("variable-without-value", statement(resource=f"topic/${{{variable}}}"))

    def test_before_the_name(self) -> None:
        resource = "arn:aws:iot:${aws:Region}:000000000000:topic/a"
        (finding,) = find("variable-not-recognised", {"Effect": "Allow", "Action": "iot:Publish", "Resource": resource})
        assert "fifth colon" in finding.reason

    def test_in_a_document_of_the_older_version(self) -> None:
        condition = {"StringEquals": {"iot:ClientId": "${iot:ClientId}"}}
        found = find("variable-not-recognised", statement(resource="topic/${*}", condition=condition), version=None)
        assert [finding.place for finding in found] == [
            "Statement[0].Resource[0]",
            "Statement[0].Condition.StringEquals.iot:ClientId",
        ]


class TestResources:
    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("iot:Connect", "topic/a"),
            ("iot:Subscribe", "topic/a"),
            ("iot:Publish", "topicfilter/a"),
            ("iot:ListRetainedMessages", "topic/*"),
            ("iot:UpdateThingShadow", "topic/$aws/things/x/shadow/update"),
        ],
    )
    def test_do_not_go_together(self, action: str, resource: str) -> None:
        assert {finding.place for finding in find("wrong-resource-type", statement(action, resource))} == {
            "Statement[0].Resource[0]",
            "Statement[0].Action",
        }

    @pytest.mark.parametrize(
        ("action", "resource"),
        [
            ("iot:Subscribe", "topic*"),
            ("iot:Subscribe", "to?icfilter/a"),
            ("iot:Connect", "${iot:ClientId}"),
            ("iot:*", "topic/a"),
            ("*", "client/a"),
            ("iot:ListRetainedMessages", "*"),
        ],
    )
    def test_go_together(self, action: str, resource: str) -> None:
        assert not find("wrong-resource-type", statement(action, resource))

    def test_of_another_service(self) -> None:
        other = {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:s3:local:000000000000:topic/a"}
        assert find("wrong-resource-type", other)

    @pytest.mark.parametrize("head", ["arn:aws:iot:*:*:", "arn:*:iot:loc*:0000????0000:"])
    def test_of_this_realm(self, head: str) -> None:
        assert not find("other-realm", {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{head}topic/a"})

    def test_no_realm_is_foreign_without_a_home(self) -> None:
        other = {"Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:x:1:topic/a"}
        assert not [finding for finding in lint(document(other)) if finding.code == "other-realm"]
        assert len(find("other-realm", other)) == 2


class TestShadowed:
    @pytest.mark.parametrize(
        ("first", "second", "place"),
        [
            (statement(resource="topic/*"), statement(resource="topic/a"), "Statement[1]"),
            (statement(resource="topic/a"), statement(resource="topic/*"), "Statement[0]"),
            (statement(), statement(), "Statement[1]"),
            (statement("iot:*", "*"), statement(condition=ATTACHED), "Statement[1]"),
            (statement(condition=ATTACHED), statement(condition=ATTACHED), "Statement[1]"),
            (statement(), deny(resource="topic/?"), "Statement[0]"),
            (deny(resource="*"), statement(), "Statement[1]"),
            (deny(resource="topic/*"), deny(), "Statement[1]"),
        ],
    )
    def test_by_another(self, first: dict[str, Any], second: dict[str, Any], place: str) -> None:
        assert [finding.place for finding in find("shadowed", first, second)] == [place]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (statement(condition=ATTACHED), statement()),
            (statement(resource="topic/a"), statement(resource="topic/b")),
            (statement("iot:Publish"), statement(["iot:Publish", "iot:Receive"], "topic/b")),
            (statement(), deny(condition=ATTACHED)),
            (statement(resource="topic/*"), deny()),
            (deny(resource="topic/a"), deny(resource="topic/?b")),
            (statement(resource="topic/${iot:ClientId}"), statement(resource="topic/a")),
        ],
    )
    def test_not_by_another(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        found = [finding.place for finding in find("shadowed", first, second)]
        assert found == [] or first == statement(condition=ATTACHED)
        assert "Statement[1]" not in found

    @given(POLICIES, REQUESTS, CONTEXTS)
    def test_a_shadowed_statement_decides_nothing(
        self, policies: list[NamedPolicy], request: tuple[str, str], context: ConnectionContext
    ) -> None:
        for policy in policies:
            found = [finding for finding in lint(policy.document) if finding.code == "shadowed"]
            for finding in found:
                kept = tuple(each for each in policy.document.statements if each.written.place != finding.place)
                less = NamedPolicy(policy.name, Document(policy.document.version, kept))
                assert outcome([policy], request, context) == outcome([less], request, context)


def outcome(policies: list[NamedPolicy], request: tuple[str, str], context: ConnectionContext) -> bool:
    return evaluate(policies, *request, context).allowed


@given(st.text("ab*?/", max_size=6), st.text("ab*?/", max_size=6), st.text("ab/", max_size=8))
def test_what_covers_matches_whatever_is_matched(wider: str, narrower: str, text: str) -> None:
    one, other = (parse_resource(arn(f"topic/{each}"), variables=True) for each in (wider, narrower))
    if covers(one, other):
        assert other.fixed is not None
        assert one.fixed is not None
        assert one.fixed.matches(arn(f"topic/{text}")) or not other.fixed.matches(arn(f"topic/{text}"))


def test_what_is_meant_is_not_found() -> None:
    own = f"home/{THING}"
    assert not codes(
        statement("iot:Connect", f"client/{THING}", condition=ATTACHED),
        statement(["iot:Publish", "iot:RetainPublish"], f"topic/{own}/*"),
        statement("iot:Subscribe", [f"topicfilter/{own}/set", "topicfilter/home/+/time"]),
        statement("iot:Receive", [f"topic/{own}/set", "topic/home/*/time"]),
        deny(["iot:Publish"], f"topic/{own}/secret"),  # type: ignore[arg-type]
    )


@pytest.mark.slow
@given(POLICIES)
def test_any_document_is_linted(policies: list[NamedPolicy]) -> None:
    for policy in policies:
        for finding in lint(policy.document, REALM):
            assert finding.place
            assert finding.reason.isprintable()
            assert finding.remedy.isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize("actions", ["iot:Publish", "iot:RetainPublish", ["iot:Subscribe", "iot:Receive"]])
@pytest.mark.timeout(30)
def test_a_huge_document_is_linted_in_time(effect: str, actions: str | list[str]) -> None:
    many = [
        statement(actions, [f"topic/{'a*' * 20}{number:04}", f"topicfilter/{'a*/' * 20}{number:04}"], effect=effect)
        for number in range(300)
    ]
    found = lint(parse_document(json.dumps({"Statement": many}), Limits(policy_chars_max=POLICY_DOCUMENT_CHARS_MAX)))
    assert any("not everything was compared" in finding.reason for finding in found)
