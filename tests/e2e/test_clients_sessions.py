"""What else other people's clients rely on: sessions that stay, retained messages, plain answers to what cannot be."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.clients import Visit, mosquitto, mosquitto_options, new_source
from tests.fixtures.estate import OWN, Credential
from tests.fixtures.mqtt import allow
from tests.fixtures.platform import until
from tests.fixtures.story import Story, new_nonce

pytestmark = [pytest.mark.e2e, pytest.mark.needs("openssl", "curl", "mosquitto_pub", "mosquitto_sub")]

CONNECTION_LOST, TIMED_OUT = 7, 27


def run(story: Story, program: str, who: Credential, client_id: str, *words: str) -> tuple[int, str]:
    """Run a client of mosquitto's; return its exit code, and all that it says."""
    options = mosquitto_options(story.door, who, client_id, new_source())
    done = subprocess.run(  # noqa: PLW1510 - it may well fail
        [program, *options, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_session_outlives_the_certificate_it_began_with(story: Story) -> None:
    """Its owner is the thing: what was kept for it while it was away comes to it under its next certificate."""
    old = story.estate.enrolled("thermostat")
    wanted = f"home/{old.thing}/wanted"
    staying = ("-c", "-q", "1", "-t", wanted)
    code, said = run(story, "mosquitto_sub", old, old.thing, *staying, "-E")
    assert code == 0, said
    sent = Visit(old, f"{old.thing}:x", wanted, new_nonce())
    assert mosquitto(story.door, sent).acknowledged
    # Another thing may use the same client id, and has a session of its own by it.
    other = story.estate.enrolled("fish-tank", allow("iot:*", "*"))
    code, said = run(story, "mosquitto_sub", other, old.thing, "-c", "-q", "1", "-t", "nothing", "-W", "1")
    assert (code, sent.payload in said) == (TIMED_OUT, False), said
    story.platform.run("cert", "revoke", old.certificate_id)
    new = story.estate.enroll(old.thing)
    code, said = run(story, "mosquitto_sub", new, new.thing, *staying, "-C", "1", "-W", "20")
    assert (code, sent.payload in said) == (0, True), said


def test_a_message_is_retained_by_whom_policy_lets(story: Story) -> None:
    lamp = story.estate.enrolled("lamp")
    topic = f"home/{lamp.thing}/light"
    code, _ = run(story, "mosquitto_pub", lamp, lamp.thing, "-r", "-q", "1", "-t", topic, "-m", new_nonce())
    assert code == CONNECTION_LOST
    denied = story.platform.wait_for("publish.denied", certificate_id=lamp.certificate_id)
    assert (denied["action"], denied["reason"]) == ("iot:RetainPublish", "policy")
    story.estate.permit(lamp.thing, allow("iot:RetainPublish", f"topic/{topic}"))
    nonce = new_nonce()
    code, said = run(story, "mosquitto_pub", lamp, f"{lamp.thing}:x", "-r", "-q", "1", "-t", topic, "-m", nonce)
    assert code == 0, said
    story.listen(topic).wait_for(topic, nonce)


def test_what_may_be_asked_for_and_not_be_received_does_not_come(story: Story) -> None:
    lamp = story.estate.enrolled("lamp")
    deaf = story.estate.enrolled(
        "fish-tank", *OWN, allow("iot:Subscribe", "topicfilter/home/*"), allow("iot:Receive", "topic/home/heard/*")
    )
    sink = story.subscriber(deaf, deaf.thing, "home/#", qos=1)
    mark = story.platform.mark()
    topic = f"home/{lamp.thing}/light"
    assert mosquitto(story.door, Visit(lamp, lamp.thing, topic, new_nonce())).acknowledged
    denied = story.platform.wait_for("receive.denied", mark, certificate_id=deaf.certificate_id)
    assert (denied["action"], denied["resource"], denied["reason"]) == ("iot:Receive", f"topic/{topic}", "policy")
    heard = Visit(deaf, f"{deaf.thing}:x", f"home/{deaf.thing}/x", new_nonce())
    assert mosquitto(story.door, heard).acknowledged
    sink.wait_for(heard.topic, heard.payload)
    assert sink.messages() == [f"{heard.topic} {heard.payload}"]


@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_messages_come_whole_and_once(story: Story, tmp_path: Path, qos: str) -> None:
    lamp = story.estate.enrolled("lamp")
    topic = f"home/{lamp.thing}/picture"
    service = story.listen(topic, qos=int(qos))
    large = tmp_path / "large"
    large.write_text("x" * 200_000)
    code, said = run(story, "mosquitto_pub", lamp, lamp.thing, "-q", qos, "-t", topic, "-f", str(large))
    assert code == 0, said
    last = Visit(lamp, f"{lamp.thing}:x", topic, new_nonce())
    assert mosquitto(story.door, last).acknowledged
    service.wait_for(topic, last.payload)
    assert service.messages() == [f"{topic} {large.read_text()}", f"{topic} {last.payload}"]
    large.write_text("x" * 300_000)
    run(story, "mosquitto_pub", lamp, lamp.thing, "-q", qos, "-t", topic, "-f", str(large))
    closed = story.platform.wait_for("session.closed", certificate_id=lamp.certificate_id, reason="packet-too-large")
    assert closed["client_id"] == lamp.thing


def test_a_user_name_is_nothing_to_the_broker(story: Story) -> None:
    """The broker would know neither of the two; what a device says there ends at the gateway."""
    lamp = story.estate.enrolled("lamp")
    topic, nonce = f"home/{lamp.thing}/light", new_nonce()
    service = story.listen(topic)
    credentials = ("-u", "gateway", "-P", "guessed")
    code, said = run(story, "mosquitto_pub", lamp, lamp.thing, *credentials, "-q", "1", "-t", topic, "-m", nonce)
    assert code == 0, said
    service.wait_for(topic, nonce)


def test_another_version_of_mqtt_is_told_so(embedded: Story) -> None:
    lamp = embedded.estate.enrolled("lamp")
    _, said = run(embedded, "mosquitto_pub", lamp, lamp.thing, "-V", "mqttv31", "-t", f"home/{lamp.thing}/x", "-m", "x")
    assert "received CONNACK (1)" in said
    refused = embedded.platform.wait_for("connection.refused", certificate_id=lamp.certificate_id)
    assert refused["reason"] == "protocol-unsupported"


def test_old_tls_is_refused(embedded: Story) -> None:
    source = new_source()
    done = subprocess.run(
        ["openssl", "s_client", "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", "-bind", f"{source}:0",
         "-connect", f"localhost:{embedded.door.port}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    # protocol_version (RFC 8446, section 6.2)
    assert "SSL alert number 70" in done.stderr, done.stderr
    assert failed_handshake(embedded, source)["reason"] == "no-shared-protocol"


def test_who_speaks_no_tls_is_refused(embedded: Story) -> None:
    source = new_source()
    url = f"http://localhost:{embedded.door.port}/"
    done = subprocess.run(["curl", "-sS", "--interface", source, url], capture_output=True, check=False, timeout=60)
    assert done.returncode == 52, "an empty reply"
    assert failed_handshake(embedded, source)["reason"] == "not-tls"


def failed_handshake(story: Story, source: str) -> dict[str, Any]:
    """Return what is logged of a client at this address."""

    def look() -> list[dict[str, Any]]:
        failed = story.platform.events("handshake.failed")
        return [each for each in failed if each["peer"].startswith(f"{source}:")]

    (event,) = until(look, f"a failed handshake from {source}")
    return event
