"""Messages that other people's clients send, and what policy makes of them: the fish tank beside the thermostat."""

from collections import Counter

import pytest
from tests.fixtures.clients import REFUSED, Client, Visit, gnutls, mosquitto, openssl, paho_mqtt
from tests.fixtures.story import Story, new_nonce

from troth.registry.decisions import DecisionKey

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

CLIENTS = [mosquitto, openssl, paho_mqtt, pytest.param(gnutls, marks=pytest.mark.needs("gnutls-cli"))]
NOT_AUTHORIZED = 5
DENIALS = ("handshake.failed", "connection.refused", "publish.denied", "subscribe.denied", "receive.denied")
EXPECTED = {
    "fish-tank-publishes-as-thermostat": ("publish.denied", "iot:Publish", "policy"),
    "fish-tank-reads-thermostat": ("subscribe.denied", "iot:Subscribe", "policy"),
    "fish-tank-takes-client-id": ("connection.refused", "iot:Connect", "connect-denied"),
    "fish-tank-subscribes-everything": ("subscribe.denied", "iot:Subscribe", "policy"),
    "fish-tank-shares-everything": ("subscribe.denied", "iot:Subscribe", "policy"),
    "fish-tank-wills-as-thermostat": ("connection.refused", "iot:Publish", "will-denied"),
}
"""What the gateway logs of each: the event, what was asked for, and why not."""


def require_logged(story: Story, case: str, mark: int, certificate_id: str, resource: str, address: str) -> None:
    """Require that the gateway has logged the refusal that `EXPECTED` names, of the client at this address."""
    event, action, reason = EXPECTED[case]
    logged = story.platform.wait_for(event, mark, certificate_id=certificate_id, resource=resource)
    assert (logged["action"], logged["reason"]) == (action, reason)
    assert logged["peer"].startswith(address)


@pytest.mark.parametrize("client", CLIENTS)
def test_phone_home(story: Story, client: Client) -> None:
    thermostat = story.estate.enrolled("thermostat")
    reading = Visit(thermostat, thermostat.thing, f"home/{thermostat.thing}/temperature", new_nonce())
    service = story.listen(reading.topic)
    fared = client(story.door, reading)
    assert (fared.connack, fared.acknowledged) == (0, True), fared
    service.wait_for(reading.topic, reading.payload)


@pytest.mark.parametrize("client", CLIENTS)
def test_fish_tank_publishes_as_thermostat(story: Story, client: Client) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic, mark = f"home/{thermostat.thing}/temperature", story.platform.mark()
    service = story.listen(topic)
    fared = client(story.door, Visit(fish_tank, fish_tank.thing, topic, new_nonce()))
    assert (fared.connack, fared.acknowledged) == (0, False), fared
    case = "fish-tank-publishes-as-thermostat"
    require_logged(story, case, mark, fish_tank.certificate_id, f"topic/{topic}", fared.source)
    story.platform.wait_for("session.closed", mark, certificate_id=fish_tank.certificate_id, reason="publish-denied")
    honest = Visit(thermostat, thermostat.thing, topic, new_nonce())
    assert client(story.door, honest).acknowledged
    service.wait_for(topic, honest.payload)
    assert service.messages() == [f"{topic} {honest.payload}"]


@pytest.mark.parametrize("client", CLIENTS)
def test_fish_tank_reads_thermostat(story: Story, client: Client) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic, mark = f"home/{thermostat.thing}/temperature", story.platform.mark()
    fared = client(story.door, Visit(fish_tank, fish_tank.thing, filters=[topic]))
    assert (fared.connack, fared.codes) == (0, (REFUSED,)), fared
    case = "fish-tank-reads-thermostat"
    require_logged(story, case, mark, fish_tank.certificate_id, f"topicfilter/{topic}", fared.source)
    assert client(story.door, Visit(thermostat, thermostat.thing, filters=[topic])).codes == (0,)


@pytest.mark.parametrize("client", CLIENTS)
def test_fish_tank_takes_client_id(story: Story, client: Client) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic, mark = f"home/{thermostat.thing}/wanted", story.platform.mark()
    connected = story.subscriber(thermostat, thermostat.thing, topic)
    fared = client(story.door, Visit(fish_tank, thermostat.thing, f"home/{fish_tank.thing}/level", new_nonce()))
    assert fared.connack == NOT_AUTHORIZED, fared
    case = "fish-tank-takes-client-id"
    require_logged(story, case, mark, fish_tank.certificate_id, f"client/{thermostat.thing}", fared.source)
    assert client(
        story.door, Visit(fish_tank, fish_tank.thing, f"home/{fish_tank.thing}/level", new_nonce())
    ).acknowledged
    # The thermostat has noticed nothing: it hears on, without having had to come again.
    wanted = Visit(thermostat, f"{thermostat.thing}:other", topic, new_nonce())
    assert client(story.door, wanted).acknowledged
    connected.wait_for(topic, wanted.payload)
    assert sum("CONNACK" in line for line in connected.lines.seen()) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_fish_tank_subscribes_everything(story: Story, client: Client) -> None:
    fish_tank, mark = story.estate.enrolled("fish-tank"), story.platform.mark()
    own = f"home/{fish_tank.thing}/#"
    fared = client(story.door, Visit(fish_tank, fish_tank.thing, filters=["#", own, "$share/x/#"]))
    assert (fared.connack, fared.codes) == (0, (REFUSED, 0, REFUSED)), fared
    for case, wanted in (("fish-tank-subscribes-everything", "#"), ("fish-tank-shares-everything", "$share/x/#")):
        require_logged(story, case, mark, fish_tank.certificate_id, f"topicfilter/{wanted}", fared.source)
    assert client(story.door, Visit(fish_tank, fish_tank.thing, filters=[own])).codes == (0,)


def test_who_asked_for_everything_hears_its_own_only(story: Story) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    reading = Visit(thermostat, thermostat.thing, f"home/{thermostat.thing}/temperature", new_nonce())
    level = Visit(fish_tank, f"{fish_tank.thing}:other", f"home/{fish_tank.thing}/level", new_nonce())
    filters = ["#", "$share/x/#", "home/#", "home/+/temperature", f"home/{fish_tank.thing}/#"]
    greedy = story.subscriber(fish_tank, fish_tank.thing, *filters)
    assert mosquitto(story.door, reading).acknowledged
    assert mosquitto(story.door, level).acknowledged
    greedy.wait_for(level.topic, level.payload)
    assert greedy.messages() == [f"{level.topic} {level.payload}"]


@pytest.mark.parametrize("client", CLIENTS)
def test_fish_tank_wills_as_thermostat(story: Story, client: Client) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic, mark = f"home/{thermostat.thing}/temperature", story.platform.mark()
    service = story.listen("home/+/temperature")
    last = Visit(fish_tank, fish_tank.thing, f"home/{fish_tank.thing}/level", new_nonce(), will=topic)
    fared = client(story.door, last)
    assert fared.connack == NOT_AUTHORIZED, fared
    case = "fish-tank-wills-as-thermostat"
    require_logged(story, case, mark, fish_tank.certificate_id, f"topic/{topic}", fared.source)
    # Through openssl a client goes without a DISCONNECT, so that its will is carried out.
    honest = Visit(thermostat, thermostat.thing, f"home/{thermostat.thing}/x", new_nonce(), will=topic)
    assert openssl(story.door, honest).connack == 0
    service.wait_for(topic, honest.payload)
    assert last.payload not in " ".join(service.messages())


def test_every_refusal_that_is_logged_is_counted(story: Story) -> None:
    thermostat, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    theirs = f"home/{thermostat.thing}/temperature"
    mark = story.platform.mark()
    for visit in (
        Visit(None, fish_tank.thing, theirs, "x"),
        Visit(fish_tank, fish_tank.thing, theirs, "x"),
        Visit(fish_tank, thermostat.thing, theirs, "x"),
        Visit(fish_tank, fish_tank.thing, theirs, "x", will=theirs),
        Visit(fish_tank, fish_tank.thing, filters=[theirs, "#"]),
    ):
        openssl(story.door, visit)
    told = {key.action for key in denials(story, mark)}
    assert told == {"tls:Handshake", "iot:Connect", "iot:Publish", "iot:Subscribe"}
    # Counted are those of all who were here before, too.
    story.estate.wait_for_denials(lambda: denials(story))


def denials(story: Story, since: int = 0) -> Counter[DecisionKey]:
    counted = Counter[DecisionKey]()
    for event in story.platform.log(since):
        if event["event"] in DENIALS:
            action = event.get("action", "tls:Handshake")
            counted[DecisionKey(action, "implicit-deny", event["reason"])] += 1
    return counted
