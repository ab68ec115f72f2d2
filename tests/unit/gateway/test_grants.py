"""What is kept ready for who returns counts only for whom it was made: everything else is decided anew."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.fixtures.mqtt import allow, policy

from troth.gateway.grants import KEPT_EACH_MAX, Grants, Peer
from troth.gateway.principals import Known
from troth.names import Realm
from troth.policy.attachment import NamedPolicy, TargetKind
from troth.policy.context import Thing, resolve_thing
from troth.policy.document import parse_document
from troth.policy.engine import Grant
from troth.protocols.mqtt import Connect, Will
from troth.registry.certificates import CertificateState
from troth.testing.clock import NOON, FakeClock
from troth.x509.certificates import CertificateAttributes
from troth.x509.profiles import Purpose

ID = "c" * 64
PEER = Peer(ID, "127.0.0.1", 50000, "home.example", "1.3")
CONNECT = Connect("lamp-1")
DAY = timedelta(days=1)


def named(*statements: dict[str, object], kind: TargetKind = TargetKind.CERTIFICATE, target: str = ID) -> NamedPolicy:
    return NamedPolicy("p", parse_document(policy(*statements)), kind, target)


def known(*policies: NamedPolicy, certificate_id: str = ID, things: tuple[Thing, ...] = ()) -> Known:
    return Known(
        certificate_id=certificate_id,
        state=CertificateState.ACTIVE,
        not_before=NOON - DAY,
        not_after=NOON + DAY,
        issuer_id="i" * 64,
        purpose=Purpose.DEVICES,
        method="token",
        attributes=CertificateAttributes(certificate_id, "1", {"CommonName": ("lamp-1",)}, {}, {}, {}),
        things=things,
        policies=policies,
        position=1,
    )


def made(kept_max: int = 10, clock: FakeClock | None = None) -> Grants:
    return Grants(clock or FakeClock(NOON), Realm(), kept_max)


def grant(grants: Grants, who: Known, connect: Connect = CONNECT, peer: Peer = PEER) -> Grant:
    found = grants.grant(who, peer, connect, resolve_thing(who.things, connect.client_id))
    assert found is not None
    return found


def connects(found: Grant, connect: Connect = CONNECT) -> bool:
    return found.decide("iot:Connect", connect.client_id).allowed


@pytest.mark.parametrize(
    ("operator", "key", "value", "other"),
    [
        ("StringEquals", "iot:ClientId", "lamp-1", Connect("lamp-2")),
        ("ForAnyValue:StringEquals", "iot:ConnectAttributes", "PersistentConnect", Connect("lamp-1")),
        ("StringLike", "iot:LastWillTopic", "*/gone", Connect("lamp-1", False, will=Will("x", b""))),
        ("IpAddress", "aws:SourceIp", "127.0.0.0/8", replace(PEER, host="192.0.2.1")),
        ("StringEquals", "iot:DomainName", "home.example", replace(PEER, server_name=None)),
        ("StringEquals", "troth:TlsVersion", "1.3", replace(PEER, tls_version="1.2")),
    ],
)
def test_what_a_policy_asks_of_the_connection_is_asked_of_each(
    operator: str, key: str, value: str, other: Connect | Peer
) -> None:
    """First the one that may and then the one that may not, and the other way round, at the same grants."""
    who = known(named(allow("iot:Connect", "client/*") | {"Condition": {operator: {key: value}}}))
    good = Connect("lamp-1", False, will=Will("lamp-1/gone", b""))
    connect, peer = (other, PEER) if isinstance(other, Connect) else (good, other)
    grants = made()
    for _ in range(2):
        assert connects(grant(grants, who, good), good)
        assert not connects(grant(grants, who, connect, peer), connect)
    grants = made()
    assert not connects(grant(grants, who, connect, peer), connect)
    assert connects(grant(grants, who, good), good)


def test_a_variable_of_the_connection_is_filled_in_for_each() -> None:
    who = known(named(allow("iot:Publish", "topic/${iot:ClientId}/*")))
    grants = made()
    one, two = grant(grants, who, Connect("one")), grant(grants, who, Connect("two"))
    assert [each.may_publish("one/x") for each in (one, two)] == [True, False]
    assert [each.may_publish("two/x") for each in (one, two)] == [False, True]


def test_which_thing_it_is_tells_them_apart() -> None:
    mine = "${iot:Connection.Thing.ThingName}"
    who = known(named(allow("iot:Publish", f"topic/{mine}/*")), things=(Thing("lamp-1"), Thing("lamp-2")))
    grants = made()
    one, two, none = (grant(grants, who, Connect(each)) for each in ("lamp-1", "lamp-2", "neither"))
    assert [each.may_publish("lamp-1/x") for each in (one, two, none)] == [True, False, False]


def test_the_policies_of_groups_count_only_where_the_client_id_is_the_things_name() -> None:
    lamps = named(allow("iot:Connect", "client/*"), kind=TargetKind.GROUP, target="lamps")
    who = known(lamps, things=(Thing("lamp-1", exclusive=True, groups=frozenset({"lamps"})),))
    grants = made()
    for _ in range(2):
        assert connects(grant(grants, who))
        assert not connects(grant(grants, who, Connect("other")), Connect("other"))


def test_what_has_been_looked_up_anew_is_another() -> None:
    grants = made()
    assert connects(grant(grants, known(named(allow("iot:Connect", "client/*")))))
    assert not connects(grant(grants, known(named(allow("iot:Connect", "client/else")))))
    assert grants.grant(replace(known(), policies=None), PEER, CONNECT, None) is None


def test_time_goes_on_for_who_returns() -> None:
    dated = {"Condition": {"DateLessThan": {"aws:CurrentTime": f"{NOON + DAY:%Y-%m-%dT%H:%M:%SZ}"}}}
    who = known(named(allow("iot:Connect", "client/*") | dated))
    clock = FakeClock(NOON)
    grants = made(clock=clock)
    assert connects(grant(grants, who))
    clock.advance(DAY)
    assert not connects(grant(grants, who))


def test_who_is_driven_out_is_made_ready_again() -> None:
    asking = {"Condition": {"StringLike": {"iot:ClientId": "*"}}}
    one = known(named(allow("iot:Connect", "client/*") | asking))
    two = known(named(allow("iot:Connect", "client/*"), target="d" * 64), certificate_id="d" * 64)
    grants = made(kept_max=1)
    for number in range(2 * KEPT_EACH_MAX + 1):
        for who in (one, two, one):
            connect = Connect(f"c-{number}")
            assert connects(grant(grants, who, connect), connect)


def test_connections_share_no_memory_of_topics() -> None:
    who = known(named(allow("iot:Publish", "topic/*")))
    grants = made()
    first = grant(grants, who)
    for number in range(100):
        assert first.may_publish(f"topic-{number}")
    second = grant(grants, who)
    assert second is not first
    assert len(second._publish) == 0
