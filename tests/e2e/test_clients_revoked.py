"""A device whose certificate is revoked while other people's clients use it: out at once, and back by a new key."""

import pytest
from tests.fixtures.clients import Client, Visit, gnutls, mosquitto, openssl, paho_mqtt
from tests.fixtures.estate import Credential
from tests.fixtures.story import Story, new_nonce

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

CLIENTS = [mosquitto, openssl, paho_mqtt, pytest.param(gnutls, marks=pytest.mark.needs("gnutls-cli"))]
NOT_AUTHORIZED = 5
REVOKED = "certificate-revoked"


def revoke(story: Story, credential: Credential) -> None:
    """Revoke a certificate, as its owner would who has lost the device."""
    (revoked,) = story.platform.run("cert", "revoke", credential.certificate_id, "--reason", "keyCompromise")
    assert (revoked["state"], revoked["reason"]) == ("REVOKED", "keyCompromise")


def test_revoked_while_connected(story: Story) -> None:
    """mosquitto_sub comes again by itself when it has lost its connection, and then gives up."""
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic, level = f"home/{thermostat.thing}/wanted", f"home/{fish_tank.thing}/level"
    lost = story.subscriber(thermostat, thermostat.thing, topic)
    kept = story.subscriber(fish_tank, fish_tank.thing, level)
    mark = story.platform.mark()
    revoke(story, thermostat)
    closed = story.platform.wait_for("session.closed", mark, certificate_id=thermostat.certificate_id)
    assert (closed["reason"], closed["peer"].startswith(lost.source)) == (REVOKED, True)
    refused = story.platform.wait_for("connection.refused", mark, certificate_id=thermostat.certificate_id)
    assert (refused["reason"], refused["action"]) == (REVOKED, "iot:Connect")
    assert refused["peer"].startswith(lost.source)
    assert "Connection error: Connection Refused: not authorised." in lost.lines.wait_for_end()
    assert lost.process.wait() == NOT_AUTHORIZED
    # The honest twin, connected all the while, hears on over the same connection.
    heard = Visit(fish_tank, f"{fish_tank.thing}:other", level, new_nonce())
    assert mosquitto(story.door, heard).acknowledged
    kept.wait_for(level, heard.payload)
    assert sum("CONNACK" in line for line in kept.lines.seen()) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_revoked_reconnects_and_is_re_enrolled(story: Story, client: Client) -> None:
    old = story.estate.enrolled("thermostat")
    reading = Visit(old, old.thing, f"home/{old.thing}/temperature", new_nonce())
    service = story.listen(reading.topic)
    assert client(story.door, reading).acknowledged
    service.wait_for(reading.topic, reading.payload)
    revoke(story, old)
    mark = story.platform.mark()
    fared = client(story.door, Visit(old, f"{old.thing}:again", reading.topic, new_nonce()))
    assert fared.connack == NOT_AUTHORIZED, fared
    refused = story.platform.wait_for("connection.refused", mark, certificate_id=old.certificate_id)
    assert (refused["reason"], refused["resource"]) == (REVOKED, f"certificate/{old.certificate_id}")
    assert refused["peer"].startswith(fared.source)
    # A new key and a new certificate for the same thing: the policies were the thing's all along.
    new = story.estate.enroll(old.thing)
    assert new.certificate_id != old.certificate_id
    reading = Visit(new, new.thing, reading.topic, new_nonce())
    assert client(story.door, reading).acknowledged
    service.wait_for(reading.topic, reading.payload)
    assert len(service.messages()) == 2
    # And the old one stays out.
    assert client(story.door, Visit(old, f"{old.thing}:later", reading.topic, new_nonce())).connack == NOT_AUTHORIZED
    states = {row["certificate_id"]: row["state"] for row in story.platform.run("cert", "list", "--thing", old.thing)}
    assert states == {old.certificate_id: "REVOKED", new.certificate_id: "ACTIVE"}
