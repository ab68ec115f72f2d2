"""Connections and requests written as JSON: what is left out has a sensible value, what is wrong has a place."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from troth.errors import Fault, Kind
from troth.names import Realm
from troth.policy.actions import Action
from troth.policy.context import Thing
from troth.policy.decision import Outcome
from troth.policy.questions import Question, read_questions
from troth.policy.situation import NO_CERTIFICATE, SOURCE_IP

REALM = Realm("aws", "here", "1")


def read(value: Any) -> tuple[Question, ...]:
    return read_questions(json.dumps(value), REALM)


def asked(**context: Any) -> Question:
    (question,) = read({"action": "iot:publish", "resource": "a", "context": context})
    return question


class TestContext:
    def test_what_is_left_out(self) -> None:
        context = asked().context
        assert context.realm == REALM
        assert context.certificate.certificate_id == NO_CERTIFICATE
        assert context.source_ip == SOURCE_IP
        assert context.protocol == "mqtt"
        assert context.client_id is None
        assert context.thing is None

    def test_a_thing_connects_under_its_name_unless_it_is_said_otherwise(self) -> None:
        assert asked(thing={"name": "t"}).context.client_id == "t"
        assert asked(thing={"name": "t"}).context.thing == Thing("t")
        assert asked(thing={"name": "t"}, clientId="x").context.thing is None
        assert asked(thing={"name": "t"}, clientId=None).context.client_id is None
        assert asked(thing={"name": "t"}, protocol="https").context.client_id is None

    def test_a_thing_that_is_not_attached_is_none(self) -> None:
        assert asked(thing={"name": "t", "attached": False}, clientId="t").context.thing is None

    def test_an_exclusive_thing_is_it_whatever_the_client_id(self) -> None:
        thing = {"name": "t", "type": "T", "attributes": {"a": "b"}, "exclusive": True, "groups": ["g"]}
        assert asked(thing=thing, clientId="x").context.thing == Thing("t", "T", {"a": "b"}, True, frozenset({"g"}))

    def test_a_certificate(self) -> None:
        certificate = asked(
            certificate={
                "id": "ab",
                "serialNumber": "7",
                "subject": {"CommonName": ["x", "y"]},
                "san": {"DNSName": "z"},
            }
        ).context.certificate
        assert certificate.certificate_id == "ab"
        assert certificate.serial_number == "7"
        assert certificate.subject == {"CommonName": ("x", "y")}
        assert certificate.san == {"DNSName": ("z",)}
        assert certificate.issuer == {}

    def test_everything_else(self) -> None:
        context = asked(
            partition="p",
            region="r",
            account="a",
            sourceIp="::1",
            domainName="d",
            connectAttributes=["LastWill"],
            lastWillTopic="w",
            currentTime="2026-01-31T12:00:00+01:00",
            tlsVersion="1.3",
            notBefore="2026-01-01",
            notAfter=None,
            enrollmentMethod="token",
            keyProtection="tpm",
        ).context
        assert context.realm == Realm("p", "r", "a")
        assert context.source_ip == "::1"
        assert context.domain_name == "d"
        assert context.connect_attributes == ("LastWill",)
        assert context.last_will_topic == "w"
        assert context.current_time == datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=1)))
        assert context.tls_version == "1.3"
        assert context.not_before == datetime(2026, 1, 1, tzinfo=UTC)
        assert context.not_after is None
        assert context.enrollment_method == "token"
        assert context.key_protection == "tpm"


class TestQuestions:
    def test_one_alone(self) -> None:
        (question,) = read({"name": "q", "action": "IOT:CONNECT", "resource": "x", "expect": "deny"})
        assert (question.name, question.action, question.resource) == ("q", Action.CONNECT, "x")
        assert question.expect is Outcome.EXPLICIT_DENY

    def test_several_are_called_by_their_places(self) -> None:
        request = {"action": "iot:Publish", "resource": "x"}
        assert [question.name for question in read([request, request])] == ["[0]", "[1]"]

    def test_a_common_context_is_added_to(self) -> None:
        first, second = read(
            {
                "context": {"thing": {"name": "t"}, "region": "r"},
                "requests": [
                    {"action": "iot:Publish", "resource": "x"},
                    {"action": "iot:Publish", "resource": "x", "context": {"clientId": "other"}},
                ],
            }
        )
        assert (first.context.client_id, second.context.client_id) == ("t", "other")
        assert {first.context.realm.region, second.context.realm.region} == {"r"}
        assert second.name == "requests[1]"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("x", "the document: is not an object"),
        ({}, "action: is missing"),
        ({"action": "iot:Publish"}, "resource: is missing"),
        ({"action": "iot:Drink", "resource": "a"}, "action: 'iot:Drink' is not an action"),
        ([{"action": 1, "resource": "a"}], "[0].action: is not a string"),
        ([{"action": "iot:Publish", "resource": "a", "extra": 1}], "[0].extra: is not part of a request"),
        ([{"action": "iot:Publish", "resource": "a", "expect": "maybe"}], "[0].expect: 'maybe' is not an outcome"),
        ({"requests": {}}, "requests: is not an array"),
        ({"requests": [], "policies": []}, "policies: is not part of a file of requests"),
        ({"requests": [], "context": {"sourceIp": 1}}, "context.sourceIp: is not a string"),
        ({"requests": [{"action": "iot:Publish"}]}, "requests[0].resource: is missing"),
    ],
)
def test_a_request_that_cannot_be_read_is_told_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(Fault) as caught:
        read(value)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.message.startswith(place)


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({"colour": "x"}, "context.colour: is not known of a connection"),
        ({"clientid": "x"}, "context.clientid: is not known of a connection"),
        ({"protocol": "amqp"}, "context.protocol: 'amqp' is not a protocol"),
        ({"currentTime": "noon"}, "context.currentTime: 'noon' is not a time"),
        ({"currentTime": "0001-01-01T00:00:00+23:00"}, "context.currentTime"),
        ({"thing": "t"}, "context.thing: is not an object"),
        ({"thing": {}}, "context.thing.name: is missing"),
        ({"thing": {"name": "t", "attached": "true"}}, "context.thing.attached: is neither true nor false"),
        ({"thing": {"name": "t", "attributes": {"a": 1}}}, "context.thing.attributes.a: is not a string"),
        ({"certificate": {"serial": "1"}}, "context.certificate.serial: is not known of a certificate"),
        ({"certificate": {"subject": {"CommonName": [1]}}}, "context.certificate.subject.CommonName[0]: is not a"),
        ({"connectAttributes": [None]}, "context.connectAttributes[0]: is not a string"),
    ],
)
def test_a_context_that_cannot_be_read_is_told_with_its_place(context: Any, place: str) -> None:
    with pytest.raises(Fault) as caught:
        asked(**context)
    assert caught.value.kind is Kind.MALFORMED
    assert caught.value.message.startswith(place)
    assert caught.value.hint


def test_a_member_given_twice_is_refused() -> None:
    with pytest.raises(Fault, match="resource: is given twice"):
        read_questions('{"action": "iot:Publish", "resource": "a", "resource": "b"}', REALM)
