"""Clients that others wrote, in both versions of MQTT, unchanged: they are heard, they hear, and they see a refusal."""

from dataclasses import dataclass

import aiomqtt
import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from tests.fixtures.errands import Aiomqtt, AwsIot3, AwsIot5, Client, Errand, Mosquitto, Paho
from tests.fixtures.node_device import Node
from tests.fixtures.platform import until
from tests.fixtures.story import Story, new_nonce

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]


@dataclass(frozen=True)
class Case:
    """A client, and how it puts what it is told."""

    name: str
    client: Client
    refused_filter: object
    denial: str
    refusal: str


CASES = [
    Case(
        "mosquitto-3.1.1", Mosquitto("mqttv311"), 0x80, "The connection was lost", "Connection Refused: not authorised"
    ),
    Case("mosquitto-5", Mosquitto("mqttv5"), 0x87, "Not authorized", "Not authorized"),
    Case("paho-3.1.1", Paho(MQTTProtocolVersion.MQTTv311), 0x80, "disconnected: Unspecified error", "Not authorized"),
    Case("paho-5", Paho(MQTTProtocolVersion.MQTTv5), 0x87, "Not authorized", "Not authorized"),
    Case("aiomqtt-3.1.1", Aiomqtt(aiomqtt.ProtocolVersion.V311), 0x80, "Disconnected", "Not authorized"),
    Case("aiomqtt-5", Aiomqtt(aiomqtt.ProtocolVersion.V5), 0x87, "Disconnected", "Not authorized"),
    Case("awsiotsdk-3.1.1", AwsIot3(), "SubscribeError: #", "interrupted", "AWS_ERROR_MQTT_PROTOCOL_ERROR"),
    Case("awsiotsdk-5", AwsIot5(), 0x87, "NOT_AUTHORIZED", "NOT_AUTHORIZED"),
    Case("npm-3.1.1", Node(4), 0x80, "closed", "Not authorized"),
    Case("npm-5", Node(5), 0x87, "Not authorized", "Not authorized"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_is_heard_and_hears_and_is_denied(story: Story, case: Case) -> None:
    lamp, other = story.estate.enrolled("lamp"), story.estate.thing("other")
    errand = Errand(lamp, lamp.thing, new_nonce(), f"home/{other}/x")
    listener = story.listen("home/#")
    told = case.client.run(story.door, errand)
    assert told.heard == [errand.nonce]
    assert told.granted == [1, case.refused_filter]
    assert case.denial in told.denial
    listener.wait_for(errand.topic, errand.nonce)
    assert not [each for each in listener.messages() if each.startswith(errand.forbidden)]
    denied = story.platform.wait_for("publish.denied", certificate_id=lamp.certificate_id)
    assert denied["resource"] == f"topic/{errand.forbidden}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_is_not_let_in_as_another(embedded: Story, case: Case) -> None:
    lamp, other = embedded.estate.enrolled("lamp"), embedded.estate.thing("other")
    assert case.refusal in case.client.knock(embedded.door, lamp, other)


def test_a_client_may_use_topic_aliases(story: Story) -> None:
    """More topics than aliases, each more than once: the SDK sends an alias alone, and gives it to another topic."""
    lamp = story.estate.enrolled("lamp")
    topics = [f"home/{lamp.thing}/{number}" for number in (*range(12), 11, 11, *range(12))]
    listener = story.listen(f"home/{lamp.thing}/#", qos=1)
    nonce = new_nonce()
    AwsIot5().say_often(story.door, lamp, topics, nonce)
    until(lambda: len(listener.messages()) >= len(topics), "the last message")
    assert listener.messages() == [f"{topic} {nonce}" for topic in topics]
