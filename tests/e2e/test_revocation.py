"""Withdrawn means now: on every worker, while somebody else writes in bulk, and on PostgreSQL."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from tests.conformance.processes import writer
from tests.fixtures.clients import Visit, mosquitto
from tests.fixtures.estate import ACTOR, OWN, Credential
from tests.fixtures.mqtt import Talk, allow
from tests.fixtures.platform import until
from tests.fixtures.story import Story, new_nonce

from troth.authority.revoke import revoke
from troth.journal.change import change
from troth.protocols.mqtt import Puback, Publish, build_publish
from troth.tls.client import client_context
from troth.tls.client import connect as connect_tls
from troth.x509.certificates import parse_chain
from troth.x509.crl import Reason

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

PROMISED: Final = timedelta(seconds=1)
CEILING: Final = 5 * PROMISED
"""What a revocation may take on a machine that has other things to do, too."""
TALKS: Final = 6
TALKS_MAX: Final = 60


def connect(story: Story, who: Credential, client_id: str) -> Talk:
    """Return a connection that has been let in."""
    context = client_context(
        parse_chain(story.estate.root_file.read_bytes()), chain_path=who.chain_file, key_path=who.key_file
    )
    talk = Talk(connect_tls("localhost", story.door.port, context, "localhost", 10))
    assert talk.connect(client_id).code == 0
    return talk


def workers(story: Story, thing: str) -> set[str]:
    """Return the workers that hold connections of a thing."""
    return {row["worker"] for row in story.platform.run("session", "list", "--thing", thing)}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is closed after the test."""
    with ExitStack() as closing:
        yield closing


def connect_everywhere(story: Story, who: Credential, stack: ExitStack) -> dict[str, Talk]:
    """Return connections of one certificate by client id, so many that each of the two workers holds some."""
    talks: dict[str, Talk] = {}
    while len(talks) < TALKS_MAX:
        for _ in range(TALKS):
            client_id = story.estate.name(f"{who.thing}:x")
            talks[client_id] = stack.enter_context(connect(story, who, client_id))
        until(lambda: story.platform.run("session", "list", "--thing", who.thing, "--limit", "1000")[len(talks) - 1 :])
        if len(workers(story, who.thing)) == 2:
            return talks
    raise AssertionError("the kernel gives all connections to one worker")


def speaks(talk: Talk, topic: str, payload: str) -> bool:
    """Publish, and say whether it was acknowledged; if not, the connection is closed."""
    try:
        talk.send(build_publish(topic, payload.encode(), qos=1, packet_id=9))
    except OSError:
        return False
    while isinstance(packet := talk.next(), Publish):
        pass
    assert packet is None or isinstance(packet, Puback)
    return packet is not None


def test_a_revocation_closes_every_connection_on_every_worker(embedded: Story, stack: ExitStack) -> None:
    victim, twin = embedded.estate.enrolled("thermostat"), embedded.estate.enrolled("thermostat")
    topic = f"home/{victim.thing}/temperature"
    talks = connect_everywhere(embedded, victim, stack)
    others = connect_everywhere(embedded, twin, stack)
    service = embedded.listen(topic)
    for talk in talks.values():
        assert speaks(talk, topic, "before")
    mark = embedded.platform.mark()
    embedded.platform.run("cert", "revoke", victim.certificate_id, "--reason", "keyCompromise")
    closed = {
        client_id: embedded.platform.wait_for("session.closed", mark, client_id=client_id, reason="certificate-revoked")
        for client_id in talks
    }
    # Closed comes first: of what they say from here on nothing is acknowledged, and nothing arrives.
    assert not [client_id for client_id, talk in talks.items() if speaks(talk, topic, "after")]
    assert all(speaks(talk, f"home/{twin.thing}/temperature", "twin") for talk in others.values())
    embedded.platform.wait_for("session.closed", mark, client_id=next(iter(talks)))
    assert len({event["process"] for event in closed.values()}) == 2
    committed = revoked_at(embedded, victim)
    assert max(datetime.fromisoformat(event["timestamp"]) for event in closed.values()) - committed < CEILING
    last = Visit(embedded.estate.enroll(victim.thing), victim.thing, topic, new_nonce())
    assert mosquitto(embedded.door, last).acknowledged
    service.wait_for(topic, last.payload)
    assert service.messages() == [f"{topic} before"] * len(talks) + [f"{topic} {last.payload}"]


def revoked_at(story: Story, who: Credential) -> datetime:
    """Return when the journal says that a certificate was revoked."""
    (entry,) = [
        entry
        for entry in story.platform.run("journal", "show", "--limit", "1000")
        if (entry["kind"], entry["subject"]) == ("certificate.revoked", who.certificate_id)
    ]
    return datetime.fromisoformat(entry["at"])


def test_a_policy_that_is_detached_reaches_live_connections(embedded: Story, stack: ExitStack) -> None:
    thing = embedded.estate.thing("thermostat", allow("iot:Connect", "client/*"))
    talking = embedded.estate.permit(thing, *OWN)
    who = embedded.estate.enroll(thing)
    topic = f"home/{thing}/temperature"
    talks = connect_everywhere(embedded, who, stack)
    for talk in talks.values():
        assert speaks(talk, topic, "before")
    mark = embedded.platform.mark()
    embedded.platform.run("policy", "detach", talking, "--thing", thing)
    # They may still be connected, and no longer say anything.
    for talk in talks.values():
        until(lambda talk=talk: not speaks(talk, topic, "after"), "a denial", CEILING.total_seconds())  # type: ignore[misc]
    for client_id in talks:
        denied = embedded.platform.wait_for("publish.denied", mark, client_id=client_id)
        assert (denied["reason"], denied["resource"]) == ("policy", f"topic/{topic}")
    embedded.platform.run("policy", "attach", talking, "--thing", thing)
    assert speaks(stack.enter_context(connect(embedded, who, f"{thing}:back")), topic, "again")


def test_a_client_id_that_is_no_longer_allowed_ends_the_connection(embedded: Story, stack: ExitStack) -> None:
    thing = embedded.estate.thing("thermostat", *OWN[1:])
    connecting = embedded.estate.permit(thing, OWN[0])
    who = embedded.estate.enroll(thing)
    talk = stack.enter_context(connect(embedded, who, thing))
    mark = embedded.platform.mark()
    embedded.platform.run("policy", "detach", connecting, "--thing", thing)
    assert talk.is_closed()
    ended = embedded.platform.wait_for("session.closed", mark, certificate_id=who.certificate_id)
    assert ended["reason"] == "connect-denied"


@pytest.mark.parametrize("entries", [1, 300])
def test_a_revocation_arrives_while_another_process_writes_in_bulk(
    embedded: Story, stack: ExitStack, entries: int
) -> None:
    """SQLite has no fair queue of writers; without the turnstile, who writes in a loop leaves the others waiting."""
    victims = [embedded.estate.enrolled("thermostat") for _ in range(9)]
    talks = [stack.enter_context(connect(embedded, each, each.thing)) for each in victims]
    estate, took = embedded.estate, list[float]()
    stack.enter_context(writer(estate.db, entries=entries))
    for victim, talk in zip(victims, talks, strict=True):
        began = time.monotonic()
        with change(estate.db, estate.clock, ACTOR) as changing:
            revoke(changing, victim.certificate_id, Reason.KEY_COMPROMISE)
        assert talk.is_closed()
        took.append(time.monotonic() - began)
    print(f"from the wish to the closed connection, while {entries} at a time are written: {took}")
    assert sum(took) / len(took) < PROMISED.total_seconds(), took
    assert max(took) < CEILING.total_seconds(), took


@pytest.mark.needs("postgresql")
def test_the_whole_journey_on_postgresql(tmp_path: Path, postgresql_empty_url: str, stack: ExitStack) -> None:
    story = stack.enter_context(Story(tmp_path / "home", STORE__URL=postgresql_empty_url))
    stack.callback(story.dismiss)
    thermostat = story.estate.enrolled("thermostat")
    topic = f"home/{thermostat.thing}/temperature"
    service = story.listen(topic)
    talks = connect_everywhere(story, thermostat, stack)
    for client_id, talk in talks.items():
        assert speaks(talk, topic, client_id)
        service.wait_for(topic, client_id)
    mark = story.platform.mark()
    story.platform.run("cert", "revoke", thermostat.certificate_id, "--reason", "keyCompromise")
    assert all(talk.is_closed() for talk in talks.values())
    for client_id in talks:
        story.platform.wait_for("session.closed", mark, client_id=client_id, reason="certificate-revoked")
    assert mosquitto(story.door, Visit(thermostat, thermostat.thing, topic, new_nonce())).connack == 5
    again = Visit(story.estate.enroll(thermostat.thing), thermostat.thing, topic, new_nonce())
    assert mosquitto(story.door, again).acknowledged
    service.wait_for(topic, again.payload)
    assert story.platform.run("status")["counts"]["certificates"] > len(talks)
