"""Who is let in, and as what: every step that says no, each beside the same request that it lets pass."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fixtures.mqtt import allow, deny, policy

from troth.errors import Kind
from troth.gateway.admission import Admission, Admitted, remembered
from troth.gateway.grants import Peer
from troth.gateway.mqtt.names import Owner
from troth.gateway.principals import Known, Principals
from troth.gateway.refusal import Reason, Refusal
from troth.limits import DEFAULT
from troth.names import Realm
from troth.policy.attachment import NamedPolicy, TargetKind
from troth.policy.context import Thing
from troth.policy.document import parse_document
from troth.protocols.mqtt import Connect, Will
from troth.registry.certificates import CertificateState
from troth.testing.authority import TestAuthority
from troth.testing.clock import NOON, FakeClock
from troth.x509.certificates import CertificateAttributes
from troth.x509.profiles import Purpose

CERTIFICATE_ID = "c" * 64
PEER = Peer(CERTIFICATE_ID, "127.0.0.1", 50000, "home.example", "1.3")
ME = "${iot:Connection.Thing.ThingName}"


def named(*statements: dict[str, object], kind: TargetKind = TargetKind.THING, target: str = "lamp-1") -> NamedPolicy:
    return NamedPolicy("p", parse_document(policy(*statements)), kind, target)


KNOWN = Known(
    certificate_id=CERTIFICATE_ID,
    state=CertificateState.ACTIVE,
    not_before=NOON - timedelta(days=1),
    not_after=NOON + timedelta(days=1),
    issuer_id="i" * 64,
    purpose=Purpose.DEVICES,
    method="token",
    attributes=CertificateAttributes(CERTIFICATE_ID, "1", {"CommonName": ("lamp-1",)}, {}, {}, {}),
    things=(Thing("lamp-1", exclusive=True),),
    policies=(named(allow("iot:Connect", f"client/{ME}"), allow("iot:Publish", f"topic/{ME}/*")),),
    position=1,
)
CONNECT = Connect("lamp-1")


async def knows() -> bool:
    return True


async def knows_not() -> bool:
    return False


def admit(known: Known = KNOWN, connect: Connect = CONNECT, at: datetime = NOON, peer: Peer = PEER) -> Admitted:
    principals = Principals.__new__(Principals)  # admit asks for nobody
    return Admission(principals, FakeClock(at), Realm(), DEFAULT, knows).admit(known, peer, connect)


def refusal(known: Known = KNOWN, connect: Connect = CONNECT, at: datetime = NOON) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admit(known, connect, at)
    return caught.value


def test_it_is_let_in_as_its_thing() -> None:
    admitted = admit()
    assert (admitted.client_id, admitted.thing, admitted.owner) == ("lamp-1", "lamp-1", Owner("thing", "lamp-1"))
    assert admitted.grant.may_publish("lamp-1/x")
    assert not admitted.grant.may_publish("lamp-2/x")
    assert admitted.upstream_client_id != "lamp-1"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state": CertificateState.REVOKED}, Reason.CERTIFICATE_REVOKED),
        ({"state": CertificateState.INACTIVE}, Reason.CERTIFICATE_INACTIVE),
        ({"state": CertificateState.PENDING_ACTIVATION}, Reason.CERTIFICATE_INACTIVE),
        ({"not_before": NOON + timedelta(seconds=1)}, Reason.CERTIFICATE_NOT_YET_VALID),
        ({"not_after": NOON - timedelta(seconds=1)}, Reason.CERTIFICATE_EXPIRED),
        ({"purpose": Purpose.SERVERS}, Reason.WRONG_ISSUER),
        ({"purpose": Purpose.OPERATORS}, Reason.WRONG_ISSUER),
        ({"purpose": None}, Reason.WRONG_ISSUER),
    ],
)
def test_a_certificate_that_is_not_in_force_is_refused(change: dict[str, object], reason: Reason) -> None:
    refused = refusal(replace(KNOWN, **change))  # type: ignore[arg-type]
    assert (refused.reason, refused.kind) == (reason, Kind.UNAUTHENTICATED)
    assert refused.resource == f"certificate/{CERTIFICATE_ID}"


def test_both_ends_of_its_time_belong_to_it() -> None:
    assert admit(at=KNOWN.not_before).client_id
    assert admit(at=KNOWN.not_after).client_id


def test_policies_count_by_what_they_are_attached_to() -> None:
    rights = (allow("iot:Connect", "client/*"),)
    for kind, target in ((TargetKind.CERTIFICATE, CERTIFICATE_ID), (TargetKind.THING, "lamp-1")):
        assert admit(replace(KNOWN, policies=(named(*rights, kind=kind, target=target),))).client_id
    for kind, target in ((TargetKind.CERTIFICATE, "d" * 64), (TargetKind.THING, "lamp-2")):
        refused = refusal(replace(KNOWN, policies=(named(*rights, kind=kind, target=target),)))
        assert refused.reason is Reason.CONNECT_DENIED


@pytest.mark.parametrize(
    ("operator", "key", "value", "others"),
    [
        ("NumericGreaterThanEquals", "troth:TlsVersion", "1.3", {"peer": replace(PEER, tls_version="1.2")}),
        ("StringEquals", "troth:EnrollmentMethod", "token", {"known": {"method": "ceremony"}}),
        ("StringEquals", "troth:KeyProtection", "tpm", {"known": {"key_protection": "hsm"}}),
        ("NumericLessThan", "troth:CertificateAgeDays", "30", {"known": {"not_before": NOON - timedelta(days=30)}}),
        ("NumericGreaterThan", "troth:CertificateDaysLeft", "0", {"known": {"not_after": NOON + timedelta(hours=23)}}),
        ("DateLessThan", "aws:CurrentTime", f"{NOON + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}", {"at_s": 1}),
    ],
)
def test_what_a_policy_can_ask_of_connection_certificate_and_time(
    operator: str, key: str, value: str, others: dict[str, Any]
) -> None:
    connect = allow("iot:Connect", "client/*") | {"Condition": {operator: {key: value}}}
    known = replace(KNOWN, policies=(named(connect),), key_protection="tpm")
    assert admit(known).client_id
    with pytest.raises(Refusal) as caught:
        admit(
            replace(known, **others.get("known", {})),
            at=NOON + timedelta(seconds=others.get("at_s", 0)),
            peer=others.get("peer", PEER),
        )
    assert caught.value.reason is Reason.CONNECT_DENIED


@pytest.mark.parametrize("key", ["troth:KeyProtection", "troth:Consent"])
def test_what_nobody_has_asserted_has_no_value(key: str) -> None:
    connect = allow("iot:Connect", "client/*") | {"Condition": {"Null": {key: "false"}}}
    assert refusal(replace(KNOWN, policies=(named(connect),))).reason is Reason.CONNECT_DENIED


def test_rights_end_with_the_days_that_they_were_given_for() -> None:
    dated = allow("iot:Publish", "topic/x") | {"Condition": {"NumericGreaterThan": {"troth:CertificateDaysLeft": "0"}}}
    known = replace(KNOWN, policies=(named(allow("iot:Connect", "client/*"), dated),))
    clock = FakeClock(NOON)
    principals = Principals.__new__(Principals)
    grant = Admission(principals, clock, Realm(), DEFAULT, knows).admit(known, PEER, CONNECT).grant
    assert grant.may_publish("x")
    clock.advance(timedelta(seconds=1))
    assert not grant.may_publish("x")


def test_which_thing_it_is_may_depend_on_the_client_id() -> None:
    """By the AWS rules: the exclusive thing, else the one whose name is the client id, else none."""
    things = (Thing("lamp-1"), Thing("lamp-2"))
    known = replace(KNOWN, things=things, policies=(named(allow("iot:Connect", f"client/{ME}"), target="lamp-2"),))
    assert admit(known, Connect("lamp-2")).owner == Owner("thing", "lamp-2")
    assert refusal(known, Connect("lamp-1")).reason is Reason.CONNECT_DENIED
    anybody = named(allow("iot:Connect", "client/*"), kind=TargetKind.CERTIFICATE, target=CERTIFICATE_ID)
    admitted = admit(replace(known, policies=(anybody,)), Connect("neither"))
    assert (admitted.thing, admitted.owner) == (None, Owner("certificate", CERTIFICATE_ID))


def test_a_client_id_is_anothers_under_another_owner() -> None:
    anybody = named(allow("iot:Connect", "client/*"), kind=TargetKind.CERTIFICATE, target=CERTIFICATE_ID)
    as_thing = admit(replace(KNOWN, policies=(anybody,)), Connect("x"))
    as_certificate = admit(replace(KNOWN, policies=(anybody,), things=()), Connect("x"))
    assert as_thing.upstream_client_id != as_certificate.upstream_client_id


@pytest.mark.parametrize("client_id", ["$x", "x" * 129, "é" * 65])
def test_a_client_id_that_cannot_be(client_id: str) -> None:
    refused = refusal(connect=Connect(client_id))
    assert (refused.reason, refused.kind) == (Reason.CLIENT_ID_INVALID, Kind.REJECTED)


def test_one_policy_that_cannot_be_read_closes_the_door() -> None:
    assert refusal(replace(KNOWN, policies=None)).reason is Reason.POLICY_UNREADABLE


def test_a_will_is_decided_like_the_publish_that_it_is() -> None:
    assert admit(connect=Connect("lamp-1", will=Will("lamp-1/gone", b""))).client_id
    refused = refusal(connect=Connect("lamp-1", will=Will("lamp-2/gone", b"")))
    assert (refused.reason, refused.action, refused.resource) == (
        Reason.WILL_DENIED,
        "iot:Publish",
        "topic/lamp-2/gone",
    )
    assert refused.silences_will
    refused = refusal(connect=Connect("lamp-1", will=Will("lamp-1/gone", b"", retain=True)))
    assert (refused.reason, refused.action) == (Reason.WILL_DENIED, "iot:RetainPublish")


def test_a_denied_connect_says_what_becomes_of_the_will() -> None:
    assert not refusal(connect=Connect("lamp-2", will=Will("lamp-1/gone", b""))).silences_will
    assert refusal(connect=Connect("lamp-2", will=Will("lamp-2/gone", b""))).silences_will


def test_conditions_see_the_connection() -> None:
    def known(condition: dict[str, object]) -> Known:
        return replace(KNOWN, policies=(named({**allow("iot:Connect", "client/*"), "Condition": condition}),))

    assert admit(known({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}})).client_id
    assert refusal(known({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})).reason is Reason.CONNECT_DENIED
    assert admit(known({"StringEquals": {"iot:DomainName": "home.example"}})).client_id
    assert refusal(known({"StringEquals": {"iot:DomainName": "other.example"}})).reason is Reason.CONNECT_DENIED
    persistent = known({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "PersistentConnect"}})
    assert admit(persistent, Connect("lamp-1", clean_session=False)).client_id
    assert refusal(persistent).reason is Reason.CONNECT_DENIED
    assert admit(known({"DateLessThan": {"aws:CurrentTime": "2026-06-01T12:00:01Z"}})).client_id
    late = known({"DateLessThan": {"aws:CurrentTime": "2026-06-01T12:00:00Z"}})
    assert refusal(late).reason is Reason.CONNECT_DENIED


def test_an_explicit_deny_is_told_as_one() -> None:
    known = replace(KNOWN, policies=(named(allow("iot:*", "*"), deny("iot:Connect", "client/*")),))
    assert refusal(known).outcome == "explicit-deny"


def test_what_is_remembered_of_a_connect_decides_the_same() -> None:
    will = Will("lamp-1/gone", b"secret", 1, False)
    kept = remembered(Connect("lamp-1", False, 60, will, "user", b"password"))
    assert kept == Connect("lamp-1", False, 60, replace(will, payload=b""))


def test_addresses_are_written_as_everywhere() -> None:
    assert PEER.address == "127.0.0.1:50000"
    assert replace(PEER, host="::1").address == "[::1]:50000"


def test_whom_nobody_knows_is_refused_and_so_is_everybody_while_nobody_can_know(authority: TestAuthority) -> None:
    principals = Principals(authority.db, DEFAULT)
    lamp = authority.device("lamp-1")
    knowing = Admission(principals, authority.clock, Realm(), DEFAULT, knows)
    assert asyncio.run(knowing.principal(lamp.certificate_id)).certificate_id == lamp.certificate_id
    with pytest.raises(Refusal) as caught:
        asyncio.run(knowing.principal("0" * 64))
    assert (caught.value.reason, caught.value.kind) == (Reason.UNKNOWN_CERTIFICATE, Kind.UNAUTHENTICATED)
    blind = Admission(principals, authority.clock, Realm(), DEFAULT, knows_not)
    with pytest.raises(Refusal) as caught:
        asyncio.run(blind.principal(lamp.certificate_id))
    assert (caught.value.reason, caught.value.kind) == (Reason.STATE_UNKNOWN, Kind.UNAVAILABLE)
    authority.db.dispose()
    assert authority.db.path is not None
    authority.db.path.unlink()
    principals.forget_all()
    with pytest.raises(Refusal) as caught:
        asyncio.run(knowing.principal(lamp.certificate_id))
    assert caught.value.reason is Reason.STATE_UNKNOWN
    principals.close()
