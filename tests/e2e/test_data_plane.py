"""AWS's data plane over HTTPS, with curl: the same identities and policies as at the MQTT door, on both brokers."""

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fixtures.clients import Subscriber, Visit, mosquitto
from tests.fixtures.estate import Credential
from tests.fixtures.mqtt import Talk, allow, deny, device
from tests.fixtures.story import Story, new_nonce

from troth.clock import SystemClock
from troth.evidence.reading import Reading, sign_reading
from troth.keys.file import read_key
from troth.limits import DEFAULT

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

FORBIDDEN, NOT_FOUND = "ForbiddenException", "ResourceNotFoundException"


@dataclass(frozen=True)
class Answer:
    status: int
    error: str
    body: dict[str, Any]


def ask(story: Story, who: Credential | None, method: str, path: str, data: bytes | None = None) -> Answer:
    """Ask the HTTPS door with curl."""
    shown = ["--cert", str(who.chain_file), "--key", str(who.key_file)] if who else []
    url = f"https://localhost:{story.platform.address('https')[1]}{path}"
    words = ["curl", "--silent", "--show-error", "--cacert", str(story.estate.root_file), "--request", method, *shown]
    body = ["--data-binary", "@-"] if data is not None else []
    told = ["--write-out", "\n%{http_code} %header{x-amzn-errortype}"]
    done = subprocess.run([*words, *body, *told, url], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text, _, last = done.stdout.decode().rpartition("\n")
    status, _, error = last.partition(" ")
    return Answer(int(status), error, json.loads(text) if text else {})


def test_a_reading_is_published_and_reaches_the_home(story: Story) -> None:
    lamp = story.estate.enrolled("thermostat")
    topic, nonce = f"home/{lamp.thing}/temperature", new_nonce()
    service = story.listen(topic)
    for qos in (0, 1):
        said = ask(story, lamp, "POST", f"/topics/{topic}?qos={qos}", f"{nonce}-{qos}".encode())
        assert (said.status, said.body["message"]) == (200, "OK")
        service.wait_for(topic, f"{nonce}-{qos}")


def test_a_message_has_its_bound_here_too(story: Story) -> None:
    lamp = story.estate.enrolled("thermostat")
    path = f"/topics/home/{lamp.thing}/temperature?qos=1"
    said = ask(story, lamp, "POST", path, b"x" * (DEFAULT.packet_bytes + 1))
    assert (said.status, said.error) == (413, "RequestEntityTooLargeException")
    assert ask(story, lamp, "POST", path, b"x").status == 200


def test_what_policy_does_not_allow_is_refused_and_told(story: Story) -> None:
    lamp, fish_tank = story.estate.enrolled("thermostat"), story.estate.enrolled("fish-tank")
    topic = f"home/{lamp.thing}/temperature"
    service, mark = story.listen(topic), story.platform.mark()
    said = ask(story, fish_tank, "POST", f"/topics/{topic}?qos=1", b"forged")
    assert (said.status, said.error) == (403, FORBIDDEN)
    logged = story.platform.wait_for("publish.denied", mark, certificate_id=fish_tank.certificate_id)
    assert (logged["resource"], logged["reason"]) == (f"topic/{topic}", "policy")
    for path in ("/topics/$aws/events/x", "/topics/$SYS/x", "/topics/%24aws/certificates/create/json"):
        assert ask(story, lamp, "POST", path, b"forged").error == FORBIDDEN
    for path in ("/topics/", "/topics/a%00b", "/topics/a%ff", "/topics/home/%23", f"/topics/{topic}?qos=2"):
        assert ask(story, lamp, "POST", path, b"forged").status == 400
    assert ask(story, lamp, "PUT", f"/topics/{topic}", b"forged").status == 405
    assert ask(story, None, "POST", f"/topics/{topic}", b"forged").status == 403
    assert ask(story, lamp, "POST", f"/topics/{topic}?qos=1", b"honest").status == 200
    service.wait_for(topic, "honest")
    assert service.messages() == [f"{topic} honest"]


def test_a_revoked_certificate_opens_nothing_here_either(story: Story) -> None:
    lamp = story.estate.enrolled("thermostat")
    path = f"/topics/home/{lamp.thing}/temperature?qos=1"
    assert ask(story, lamp, "POST", path, b"1").status == 200
    story.platform.run("cert", "revoke", lamp.certificate_id, "--reason", "keyCompromise")
    assert ask(story, lamp, "POST", path, b"2").error == FORBIDDEN


def test_an_expired_certificate_may_renew_and_opens_nothing_else(story: Story) -> None:
    cast = story.cast
    topic = f"home/{cast.thermostat.thing}/temperature"
    service = story.listen(topic)
    # This door lets it through the handshake, to renew.
    said = ask(story, cast.expired, "POST", f"/topics/{topic}?qos=1", b"late")
    assert (said.status, said.error) == (403, FORBIDDEN)
    assert ask(story, cast.in_time, "POST", f"/topics/{topic}?qos=1", b"in time").status == 200
    service.wait_for(topic, "in time")
    assert service.messages() == [f"{topic} in time"]


def test_what_is_retained_is_read_back(story: Story) -> None:
    thing = story.estate.thing("thermostat")
    lamp = story.estate.enroll(thing)
    topic = f"home/{thing}/temperature"
    assert ask(story, lamp, "POST", f"/topics/{topic}?qos=1&retain=true", b"21.5").error == FORBIDDEN
    story.estate.permit(thing, allow("iot:RetainPublish", f"topic/{topic}"), allow("iot:GetRetainedMessage", "topic/*"))
    assert ask(story, lamp, "GET", f"/retainedMessage/{topic}").error == NOT_FOUND
    assert ask(story, lamp, "POST", f"/topics/{topic}?qos=1&retain=true", b"21.5").status == 200
    said = ask(story, lamp, "GET", f"/retainedMessage/{topic}")
    assert (said.status, said.body["topic"], said.body["payload"]) == (200, topic, "MjEuNQ==")
    other = story.estate.enrolled("fish-tank")
    assert ask(story, other, "GET", f"/retainedMessage/{topic}").error == FORBIDDEN
    assert ask(story, lamp, "POST", f"/topics/{topic}?qos=1&retain=true", b"").status == 200
    assert ask(story, lamp, "GET", f"/retainedMessage/{topic}").error == NOT_FOUND


def test_a_signed_reading_is_verified_on_this_way_too(story: Story) -> None:
    meter = story.estate.enrolled("meter")
    topic = f"home/{meter.thing}/temperature"
    unsigned = {"Condition": {"Bool": {"troth:MessageSigned": "false"}}}
    story.estate.permit(meter.thing, deny("iot:Publish", f"topic/{topic}") | unsigned)
    path = f"/topics/{topic}?qos=1"
    key, now = read_key(meter.key_file, None), SystemClock().now()

    def reading(number: int, payload: bytes) -> bytes:
        own = bytes.fromhex(meter.certificate_id)
        return sign_reading(Reading(own, meter.thing, topic, now, number, payload), key)

    def talk_of(who: Credential, client_id: str) -> Talk:
        talk = device(story.platform.address("mqtt")[1], who, story.estate.root_file.read_bytes())
        assert talk.connect(client_id).code == 0
        return talk

    first, last = reading(1, b"21.5"), reading(2, b"21.6")
    with talk_of(story.service, f"home-service-{new_nonce()}") as service:
        assert service.subscribe(topic) == (0,)
        assert ask(story, meter, "POST", path, first).status == 200
        cheats = {"unsigned": b"21.5", "replayed": first, "altered": last.replace(b"21.6", b"99.9")}
        for outcome, cheat in cheats.items():
            mark = story.platform.mark()
            assert ask(story, meter, "POST", path, cheat).error == FORBIDDEN
            told = story.platform.wait_for("publish.denied", mark, certificate_id=meter.certificate_id)
            assert told["reason"] == f"reading-{outcome}"
        # Its number counts at the other door as well.
        mark = story.platform.mark()
        with talk_of(meter, meter.thing) as talk:
            talk.send(talk.build(topic, first))
            assert talk.is_closed()
        assert story.platform.wait_for("publish.denied", mark, client_id=meter.thing)["reason"] == "reading-replayed"
        assert ask(story, meter, "POST", path, last).status == 200
        assert [service.message(), service.message()] == [(topic, first), (topic, last)]


def test_a_connection_is_ended_by_who_may(story: Story) -> None:
    lamp, keeper = story.estate.enrolled("thermostat"), story.estate.thing("keeper")
    topic = f"home/{lamp.thing}/temperature"
    client_id = f"home-service-{new_nonce()}"
    service = Subscriber(story.door, story.service, client_id, topic)
    bearer = story.estate.enroll(keeper)
    assert ask(story, bearer, "DELETE", f"/connections/{client_id}").error == FORBIDDEN
    story.estate.permit(keeper, allow("iot:DeleteConnection", "client/home-service*"))
    mark = story.platform.mark()
    assert ask(story, bearer, "DELETE", f"/connections/{client_id}").status in {200, 404}
    story.platform.wait_for("session.closed", mark, client_id=client_id)
    assert ask(story, bearer, "DELETE", "/connections/home-service-nobody").error == NOT_FOUND
    service.close()
    assert mosquitto(story.door, Visit(lamp, lamp.thing, topic, new_nonce())).acknowledged
