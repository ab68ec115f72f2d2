"""Requests made up from documents: they reach what the documents say, whatever that is, and within bounds."""

import json
from typing import Any

import pytest
from hypothesis import given
from tests.unit.policy.samples import POLICIES, REALM, deny, document, statement

from troth.limits import POLICY_DOCUMENT_CHARS_MAX, SAMPLED_REQUESTS_MAX, Limits
from troth.policy.attachment import NamedPolicy
from troth.policy.document import parse_document
from troth.policy.reference import evaluate
from troth.policy.sampling import sample
from troth.policy.statement import Document


def outcomes(of: Document) -> set[str]:
    return {
        evaluate([NamedPolicy("it", of)], each.action, each.resource, each.context).outcome
        for each in sample([of], REALM).questions
    }


@pytest.mark.parametrize(
    "said",
    [
        statement(),
        statement(resource="topic/a/*/b?"),
        statement("iot:Connect", "client/${iot:Connection.Thing.ThingName}"),
        statement("iot:Subscribe", "topicfilter/home/${iot:ClientId}/#"),
        statement(resource="topic/${iot:Certificate.Subject.CommonName}"),
        statement(resource="topic/${iot:Certificate.Subject.OrganizationalUnit.2}"),
        statement(resource="topic/${iot:Connection.Thing.Attributes[room]}"),
        statement("iot:UpdateThingShadow", "thing/a"),
        statement(condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        statement(condition={"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}),
        statement(condition={"StringLike": {"iot:ClientId": "guard-*"}}),
        statement(condition={"StringEquals": {"iot:Connection.Thing.Attributes[room]": "kitchen"}}),
        statement(condition={"StringEquals": {"iot:Connection.Thing.ThingTypeName": "lamp"}}),
        statement(condition={"Bool": {"iot:Connection.Thing.IsAttached": "false"}}),
        statement(condition={"DateGreaterThan": {"aws:CurrentTime": "2031-01-01T00:00:00Z"}}),
        statement(condition={"NumericLessThan": {"troth:CertificateDaysLeft": "3"}}),
        statement(condition={"NumericGreaterThan": {"troth:CertificateAgeDays": "300"}}),
        statement(condition={"StringEquals": {"troth:TlsVersion": "1.2", "troth:KeyProtection": "tpm"}}),
        statement(condition={"ForAnyValue:StringEquals": {"iot:Certificate.Subject.OrganizationalUnit.List": "ops"}}),
        statement(
            "iot:Connect", "client/a", condition={"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "LastWill"}}
        ),
        statement(
            "iot:Connect", "client/a", condition={"ArnEquals": {"iot:LastWillTopic": "arn:aws:iot:*:*:topic/gone"}}
        ),
    ],
    ids=lambda said: json.dumps({**said["Condition"]}) if "Condition" in said else said["Resource"][0],
)
def test_a_statement_is_reached_and_missed(said: dict[str, Any]) -> None:
    assert outcomes(document(said)) >= {"allow", "implicit-deny"}


def test_conditions_are_met_together() -> None:
    condition = {
        "StringEquals": {"iot:DomainName": "x", "troth:EnrollmentMethod": "bulk"},
        "IpAddress": {"aws:SourceIp": "2001:db8::/32"},
    }
    assert "allow" in outcomes(document(statement(condition=condition)))


def test_a_deny_is_reached() -> None:
    assert outcomes(document(statement(resource="topic/*"), deny(resource="topic/a/*"))) >= {"allow", "explicit-deny"}


def test_each_request_is_named_after_its_connection() -> None:
    names = {question.name for question in sample([document(statement())], REALM).questions}
    assert names == {"thing sample-thing", "no thing", "over HTTPS"}


@given(POLICIES)
def test_any_documents_can_be_sampled(policies: list[NamedPolicy]) -> None:
    documents = [policy.document for policy in policies]
    made = sample(documents, REALM)
    assert len(made.questions) <= SAMPLED_REQUESTS_MAX
    assert made == sample(documents, REALM)


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"iot:ClientId": "a}${"}},
        {"DateEquals": {"aws:CurrentTime": ["2026", "2026-01", "1", "9999-12-31T23:59:59Z", "-1e9999"]}},
        {"NumericEquals": {"troth:CertificateAgeDays": ["1e999999", "-1"], "iot:ClientId": "1"}},
        {"Null": {"iot:ClientId": "true"}, "BinaryEquals": {"x:Y": "YQ=="}},
    ],
)
def test_odd_values_are_no_trouble(condition: dict[str, Any]) -> None:
    assert sample([document(statement(condition=condition), version=None)], REALM).questions


@pytest.mark.slow
@pytest.mark.timeout(20)
def test_huge_documents_are_sampled_within_bounds() -> None:
    many = [
        statement(
            "iot:*", f"topic/{number}/*/${{iot:ClientId}}", condition={"StringEquals": {"iot:ClientId": str(number)}}
        )
        for number in range(1000)
    ]
    made = sample([parse_document(json.dumps({"Statement": many}), Limits(POLICY_DOCUMENT_CHARS_MAX))], REALM)
    assert len(made.questions) == SAMPLED_REQUESTS_MAX
    assert not made.complete
