"""Withdrawn means now: what changes in the registry reaches live sessions, and no others."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.conformance.processes import writer
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import ACTOR, OWN, House, Log, name_of
from tests.fixtures.mqtt import allow, policy

from troth.clock import SystemClock
from troth.gateway.mqtt.upstream import Broker
from troth.journal.change import change
from troth.protocols.mqtt import Will, build_publish
from troth.registry.attachments import attach_principal, detach_principal
from troth.registry.decisions import list_counts, list_decisions
from troth.registry.policies import attach_policy, create_policy, update_policy
from troth.registry.sessions import Which, count_sessions, list_sessions
from troth.registry.states import deactivate
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock


def test_a_revoked_certificate_is_out_and_stays_out(house: House, log: Log) -> None:
    lamp, twin = house.thing(), house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    talk, other = house.live(lamp, will=Will(topic, b"gone")), house.live(twin)
    second = house.talk(lamp)
    house.site.revoke(lamp)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-revoked"]
    # The broker was not told goodbye, so that the home learns that the lamp is gone.
    assert spy.message() == (topic, b"gone")
    # Also through a connection whose handshake was done before.
    for again in (second, house.talk(lamp)):
        assert again.connect(name_of(lamp)).code == 5
        assert [each["reason"] for each in log.of(again, "connection.refused")] == ["certificate-revoked"]
    assert other.is_alive()


def test_a_revocation_gets_through_while_another_process_writes_in_bulk(house: House, log: Log) -> None:
    lamp, twin = house.thing(), house.thing()
    talk, other = house.live(lamp), house.live(twin)
    with writer(house.site.db, entries=20):
        house.site.revoke(lamp)
        assert talk.is_closed()
        assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-revoked"]
        assert other.is_alive()
        assert house.live(house.thing()).is_alive()


def test_nothing_is_accepted_after_the_revocation_is_in_force(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    spy = house.spy(topic)
    talk = house.live(lamp)
    talk.publish(topic, b"before", qos=1)
    house.site.revoke(lamp)
    house.gateway.settle()
    with contextlib.suppress(OSError):
        talk.send(build_publish(topic, b"after"))
    assert talk.is_closed()
    again = house.site.device(name_of(lamp))
    house.live(again).publish(topic, b"under a new certificate", qos=1)
    assert spy.message() == (topic, b"before")
    assert spy.message() == (topic, b"under a new certificate")


def test_a_deactivated_certificate_is_out(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    with change(house.site.db, house.site.clock, ACTOR) as changing:
        deactivate(changing, lamp.certificate_id)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-inactive"]


def test_what_is_taken_from_a_policy_is_denied_in_the_same_session(house: House, log: Log) -> None:
    lamp = house.thing(OWN[0], OWN[2])
    name = name_of(lamp)
    talk_rights = house.allow(name, OWN[1])
    talk = house.live(lamp)
    assert talk.subscribe(f"home/{name}/#") == (0,)
    talk.publish(f"home/{name}/x", b"1", qos=1)
    assert talk.message() == (f"home/{name}/x", b"1")
    house.detach(name, talk_rights)
    house.spy().publish(f"home/{name}/x", b"2", qos=1)
    assert talk.no_message()
    house.allow(name, OWN[1])
    talk.publish(f"home/{name}/x", b"3", qos=1)
    assert talk.message() == (f"home/{name}/x", b"3")
    assert not log.of(talk, "session.closed")


def test_a_publish_is_denied_once_its_policy_is_detached(house: House, log: Log) -> None:
    lamp = house.thing(OWN[0])
    name = name_of(lamp)
    rights = house.allow(name, OWN[1])
    talk = house.live(lamp)
    talk.publish(f"home/{name}/x", b"1", qos=1)
    house.detach(name, rights)
    talk.send(build_publish(f"home/{name}/x", b"2"))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["publish-denied"]


def test_who_would_not_be_let_in_now_is_out(house: House, log: Log) -> None:
    lamp = house.thing(*OWN[1:])
    connect = house.allow(name_of(lamp), OWN[0])
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    talk = house.live(lamp, will=Will(topic, b"gone"))
    house.detach(name_of(lamp), connect)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["connect-denied"]
    assert spy.message() == (topic, b"gone")


def test_a_will_that_is_allowed_no_more_is_not_published(house: House, log: Log) -> None:
    lamp = house.thing(OWN[0])
    rights = house.allow(name_of(lamp), OWN[1])
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    talk = house.live(lamp, will=Will(topic, b"gone"))
    house.detach(name_of(lamp), rights)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["will-denied"]
    house.spy().publish(topic, b"sentinel", qos=1)
    assert spy.message() == (topic, b"sentinel")


def test_a_session_does_not_outlive_its_owner(house: House, log: Log) -> None:
    """Detached from its thing, the certificate may still connect; the thing's session is no longer its."""
    lamp = house.thing()
    with change(house.site.db, house.site.clock, ACTOR) as changing:
        create_policy(changing, f"any-{name_of(lamp)}", policy(allow("iot:*", "*")))
        attach_policy(changing, f"any-{name_of(lamp)}", certificate_id=lamp.certificate_id)
    talk = house.live(lamp)
    with change(house.site.db, house.site.clock, ACTOR) as changing:
        detach_principal(changing, name_of(lamp), lamp.certificate_id)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["owner-changed"]
    house.live(lamp)
    with change(house.site.db, house.site.clock, ACTOR) as changing:
        attach_principal(changing, name_of(lamp), lamp.certificate_id)
    house.gateway.settle()
    house.live(lamp)


def test_others_are_left_alone_when_a_policy_is_attached_to_one(house: House) -> None:
    """A fleet shares one policy; a new member must not set everybody's rights being looked up again."""
    lamp = house.thing()
    shared = house.allow(name_of(lamp), allow("iot:Publish", "topic/shared"))
    talk = house.live(lamp)
    principals = house.gateway.gateway._principals
    before = principals.find(lamp.certificate_id)
    assert before is not None
    newcomer = house.thing()
    with change(house.site.db, house.site.clock, ACTOR) as changing:
        attach_policy(changing, shared, thing=name_of(newcomer))
    house.gateway.settle()
    assert principals.find(lamp.certificate_id) is before
    assert talk.is_alive()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[TestAuthority]:
    """A site that the test may break."""
    with TestAuthority(tmp_path, clock=FakeClock(SystemClock().now())) as authority:
        yield authority


@pytest.fixture
def own_house(own_site: TestAuthority, nats_broker: Broker) -> Iterator[House]:
    running = RunningGateway(own_site, nats_broker, unknown_state_for=timedelta(seconds=30))
    made = House(running, nats_broker)
    yield made
    made.close()
    running.close()


def test_an_expired_certificate_is_out(own_house: House, log: Log) -> None:
    lamp = own_house.thing()
    talk = own_house.live(lamp)
    clock = own_house.site.clock
    assert isinstance(clock, FakeClock)
    clock.set(lamp.certificate.not_valid_after_utc)
    assert talk.is_alive()
    clock.advance(timedelta(seconds=1))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-expired"]
    again = own_house.talk(lamp)
    assert again.connect(name_of(lamp)).code == 5
    assert [each["reason"] for each in log.of(again, "connection.refused")] == ["certificate-expired"]


def test_while_nobody_can_know_nobody_new_is_let_in(own_house: House, log: Log) -> None:
    lamp, other = own_house.thing(), own_house.thing()
    topic = f"home/{name_of(lamp)}/x"
    talk = own_house.live(lamp)
    path = own_house.site.db.path
    assert path is not None
    clock = own_house.site.clock
    assert isinstance(clock, FakeClock)
    hidden = path.with_suffix(".hidden")
    path.rename(hidden)
    own_house.gateway.run(_until(own_house, known=False))
    refused = own_house.talk(other)
    assert refused.connect(name_of(other)).code == 3
    assert [each["reason"] for each in log.of(refused, "connection.refused")] == ["state-unknown"]
    talk.publish(topic, b"goes on", qos=1)
    clock.advance(timedelta(seconds=29))
    assert talk.is_alive()
    clock.advance(timedelta(seconds=2))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["state-unknown"]
    hidden.rename(path)
    own_house.gateway.run(_until(own_house, known=True))
    assert own_house.live(other).is_alive()


def test_what_was_withdrawn_in_the_dark_is_in_force_when_it_is_light_again(own_house: House, log: Log) -> None:
    lamp, other = own_house.thing(), own_house.thing()
    talk, neighbour = own_house.live(lamp), own_house.live(other)
    path = own_house.site.db.path
    assert path is not None
    hidden = path.with_suffix(".hidden")
    own_house.site.db.dispose()
    shutil.move(path, hidden)
    own_house.gateway.run(_until(own_house, known=False))
    shutil.move(hidden, path)
    own_house.site.revoke(lamp)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-revoked"]
    assert neighbour.is_alive()


async def _until(house: House, *, known: bool) -> None:
    while house.gateway.gateway._control.is_state_known() is not known:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_people_can_see_who_is_connected_and_what_was_denied(house: House, log: Log) -> None:
    lamp = house.thing()
    talk = house.live(lamp)
    talk.subscribe("#")
    talk.publish(f"home/{name_of(lamp)}/x", b"1", qos=1)
    house.gateway.flush()
    with read(house.site.db) as connection:
        now = house.site.clock.now()
        (row,) = list_sessions(connection, now, Which(thing=name_of(lamp)))
        assert (row.certificate_id, row.client_id, row.address) == (lamp.certificate_id, name_of(lamp), talk.address)
        assert count_sessions(connection, now) >= 1
        (denied,) = [each for each in list_decisions(connection, denied=True) if each.address == talk.address]
        assert (denied.action, denied.resource, denied.outcome) == ("iot:Subscribe", "topicfilter/#", "implicit-deny")
        assert denied.reason == "policy: no statement allows iot:Subscribe on topicfilter/#"
        assert any(key.action == "iot:Subscribe" and key.outcome == "implicit-deny" for key in list_counts(connection))
    talk.send(bytes.fromhex("e000"))
    assert talk.is_closed()
    house.gateway.flush()
    with read(house.site.db) as connection:
        assert not list_sessions(connection, now, Which(thing=name_of(lamp)))


def test_a_policy_that_changes_counts_for_the_next_packet_of_a_live_session(house: House) -> None:
    lamp = house.thing(allow("iot:Connect", "*"))
    name = name_of(lamp)
    attached = house.allow(name, allow(["iot:Subscribe", "iot:Receive"], "topicfilter/extra/*", "topic/extra/*"))
    talk = house.live(lamp)
    assert talk.subscribe("extra/a") == (0,)
    with change(house.site.db, house.site.clock, "operator:test") as changing:
        update_policy(changing, attached, policy(allow("iot:Subscribe", "topicfilter/other/*")))
    house.gateway.settle()
    assert talk.subscribe("extra/b", "other/b") == (0x80, 0)
    house.spy().publish("extra/a", b"x", qos=1)
    assert talk.no_message()
