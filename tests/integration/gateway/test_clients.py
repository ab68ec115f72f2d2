"""Clients that others wrote, unchanged: they get through, and they see a refusal."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.fixtures.house import OWN, House, name_of
from tests.fixtures.mqtt import allow

from troth.testing.authority import Held

PATIENCE_S = 10
VERSIONS = pytest.mark.parametrize("version", ["311", "5"])


def mosquitto(house: House, held: Held, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    connection = ["-h", "localhost", "-p", str(house.gateway.port), "--cafile", str(house.site.root_file)]
    identity = ["--cert", str(held.chain_file), "--key", str(held.key_file), "-i", name_of(held)]
    command = [program, *connection, *identity, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.needs("mosquitto_pub")
@pytest.mark.parametrize("qos", ["0", "1", "2"])
@VERSIONS
def test_mosquitto_pub_gets_through(house: House, qos: str, version: str) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    spy = house.spy(topic)
    publishing = mosquitto(house, lamp, "mosquitto_pub", "-V", version, "-t", topic, "-m", f"nonce-{qos}", "-q", qos)
    assert publishing.communicate(timeout=PATIENCE_S)[1] == b""
    assert spy.message() == (topic, b"nonce-" + qos.encode())


@pytest.mark.needs("mosquitto_sub")
@VERSIONS
def test_mosquitto_sub_is_given_what_it_may_have(house: House, version: str) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    house.spy().publish(topic, b"nonce", qos=1, retain=True)
    reading = mosquitto(house, lamp, "mosquitto_sub", "-V", version, "-t", topic, "-C", "1", "-q", "1")
    assert reading.communicate(timeout=PATIENCE_S) == (b"nonce\n", b"")


@pytest.mark.needs("mosquitto_sub")
@VERSIONS
def test_mosquitto_sub_is_told_no(house: House, version: str) -> None:
    lamp = house.thing()
    reading = mosquitto(house, lamp, "mosquitto_sub", "-V", version, "-t", "#", "-d")
    _, errors = reading.communicate(timeout=PATIENCE_S)
    assert b"All subscription requests were denied" in errors


@pytest.mark.needs("mosquitto_pub", "mosquitto_sub")
def test_what_mosquitto_pub_says_of_a_message_arrives_with_it(house: House) -> None:
    lamp = house.thing(*OWN, allow("iot:RetainPublish", "topic/*"))
    topic = f"home/{name_of(lamp)}/x"
    said = ("user-property", "colour", "red"), ("content-type", "text/plain"), ("response-topic", "home/answers")
    properties = [word for each in said for word in ("-D", "publish", *each)]
    five = ("-V", "5", "-t", topic, "-q", "1")
    publishing = mosquitto(house, lamp, "mosquitto_pub", *five, "-m", "nonce", "-r", *properties)
    assert publishing.communicate(timeout=PATIENCE_S)[1] == b""
    reading = mosquitto(house, lamp, "mosquitto_sub", *five, "-C", "1", "-F", "%p %P %C %R")
    assert reading.communicate(timeout=PATIENCE_S) == (b"nonce colour:red text/plain home/answers\n", b"")


@pytest.mark.needs("mosquitto_pub")
def test_mosquitto_pub_is_not_let_in_as_another(house: House) -> None:
    lamp, other = house.thing(), house.thing()
    publishing = mosquitto(house, lamp, "mosquitto_pub", "-i", name_of(other), "-t", "x", "-m", "x")
    assert b"not authorised" in publishing.communicate(timeout=PATIENCE_S)[1]
    assert publishing.returncode == 5


class Paho:
    """A paho client, and what it was told."""

    def __init__(self, house: House, held: Held, client_id: str, version: MQTTProtocolVersion) -> None:
        self.connected: Any = None
        self.granted: list[int] = []
        self.messages: list[tuple[str, bytes]] = []
        self.disconnected = threading.Event()
        self._told = threading.Condition()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version)
        self.client.tls_set(str(house.site.root_file), str(held.chain_file), str(held.key_file))
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.on_disconnect = lambda *_: self.disconnected.set()
        self.client.connect("localhost", house.gateway.port)

    def wait(self, what: str) -> Any:
        with self._told:
            assert self._told.wait_for(lambda: getattr(self, what), PATIENCE_S)
        return getattr(self, what)

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        with self._told:
            self.connected = reason
            self._told.notify_all()

    def _on_subscribe(self, _client: object, _data: object, _id: object, reasons: Any, _properties: object) -> None:
        with self._told:
            self.granted = [each.value for each in reasons]
            self._told.notify_all()

    def _on_message(self, _client: object, _data: object, message: Any) -> None:
        with self._told:
            self.messages.append((message.topic, message.payload))
            self._told.notify_all()


@contextmanager
def running(
    house: House, held: Held, client_id: str = "", version: MQTTProtocolVersion = paho.MQTTv311
) -> Iterator[Paho]:
    client = Paho(house, held, client_id or name_of(held), version)
    client.client.loop_start()
    yield client
    client.client.disconnect()
    client.client.loop_stop()


@pytest.mark.parametrize("version", [paho.MQTTv311, paho.MQTTv5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_sends_and_receives(house: House, qos: int, version: MQTTProtocolVersion) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/x"
    with running(house, lamp, version=version) as client:
        assert client.wait("connected").value == 0
        for topic_filter, code in ((topic, qos), ("#", 128 if version == paho.MQTTv311 else 135)):
            client.granted = []
            client.client.subscribe(topic_filter, qos)
            assert client.wait("granted") == [code]
        client.client.publish(topic, b"nonce", qos=qos).wait_for_publish(PATIENCE_S)
        assert client.wait("messages") == [(topic, b"nonce")]


def test_paho_sees_that_it_may_not(house: House) -> None:
    lamp, other = house.thing(), house.thing()
    with running(house, lamp, name_of(other)) as client:
        assert str(client.wait("connected")) == "Not authorized"
    with running(house, lamp) as client:
        assert client.wait("connected").value == 0
        client.client.publish(f"home/{name_of(other)}/x", b"forged")
        assert client.disconnected.wait(PATIENCE_S)
