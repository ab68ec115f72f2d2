"""`limits.preset = "aws"`: each of AWS's values reached and passed at the front door, in both versions of MQTT.

AWS IoT Core endpoints and quotas, "Message broker and protocol limits and quotas". The protocol stays the standard's:
`[compat] aws` is a matter of its own.
"""

from collections.abc import Iterator

import pytest
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import House, Log, name_of
from tests.fixtures.mqtt import Talk, allow

from troth.gateway.mqtt.upstream import Broker
from troth.limits import KIB, PRESETS
from troth.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubrec,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Version,
)
from troth.registry.decisions import list_counts
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority

pytestmark = pytest.mark.slow
VERSIONS = pytest.mark.parametrize("version", Version, ids=("3.1.1", "5"))
LIMITS = PRESETS["aws"]
FLOOD = 1000
"""Messages at once: what a bucket of a hundred a second needs ten seconds for."""


@pytest.fixture(scope="module")
def gateway(site: TestAuthority, nats_broker: Broker) -> Iterator[RunningGateway]:
    """A gateway with AWS's limits."""
    running = RunningGateway(site, nats_broker, limits=LIMITS)
    yield running
    running.close()


@pytest.fixture
def house(gateway: RunningGateway, nats_broker: Broker) -> Iterator[House]:
    made = House(gateway, nats_broker)
    yield made
    made.close()


@pytest.fixture
def twin(house: House) -> Iterator[Talk]:
    """An honest device, which is served like nothing while another goes past a bound."""
    held = house.thing()
    talk = house.live(held)
    yield talk
    talk.publish(f"home/{name_of(held)}/x", b"served", qos=1)


def topic_of(held: Held, rest: str = "x") -> str:
    return f"home/{name_of(held)}/{rest}"


def ended_by(talk: Talk, code: int | None) -> bool:
    """Say whether the connection is ended, in MQTT 5 with this code."""
    last: Packet | None = None
    while (packet := talk.next()) is not None:
        last = packet
    return last is None if talk.version is Version.MQTT_3_1_1 else isinstance(last, Disconnect) and last.reason == code


def discarded(gateway: RunningGateway) -> int:
    """Return how many messages have been discarded up to now."""
    gateway.flush()
    with read(gateway.site.db) as connection:
        counts = list_counts(connection)
    return sum(count for key, count in counts.items() if key.reason == "rate-exceeded")


def test_the_values_are_the_quotas_of_aws() -> None:
    assert (LIMITS.client_id_bytes_max, LIMITS.topic_bytes_max, LIMITS.topic_levels_max) == (128, 256, 8)
    assert (LIMITS.packet_bytes, LIMITS.payload_bytes_max) == (146 * KIB, 128 * KIB)
    assert (LIMITS.filters_per_subscribe_max, LIMITS.subscriptions_per_connection_max) == (8, 50)
    assert (LIMITS.connects_per_client_id_per_second_max, LIMITS.messages_per_second_max) == (1, 100)
    assert LIMITS.throughput_bytes_per_second_max == 512 * KIB
    assert (LIMITS.receive_max, LIMITS.topic_aliases_max, LIMITS.keep_alive_s_max) == (100, 8, 1200)
    assert LIMITS.policy_chars_max == 2048


@VERSIONS
def test_a_client_id_has_128_bytes(house: House, twin: Talk, version: Version) -> None:
    lamp = house.thing(allow("iot:Connect", "client/*"))
    longest = name_of(lamp).ljust(128, "x")
    refused = house.talk(lamp, version=version)
    assert refused.connect(longest + "x").code == (0x85 if version is Version.MQTT_5 else 2)
    assert house.talk(lamp, version=version).connect(longest).code == 0


@VERSIONS
@pytest.mark.parametrize("what", ["bytes", "levels"])
def test_a_topic_has_256_bytes_and_8_levels(house: House, twin: Talk, version: Version, what: str) -> None:
    lamp = house.thing()
    within, beyond = topic_of(lamp, "1/2/3/4/5/6"), topic_of(lamp, "1/2/3/4/5/6/7")
    if what == "bytes":
        within, beyond = topic_of(lamp, "").ljust(256, "x"), topic_of(lamp, "").ljust(257, "x")
    talk = house.live(lamp, version=version)
    assert talk.subscribe(within, qos=1) == (1,)
    assert talk.subscribe(beyond, qos=1) == (0x8F if version is Version.MQTT_5 else 0x80,)
    talk.publish(within, b"nonce", qos=1)
    assert talk.message() == (within, b"nonce")
    talk.send(talk.build(beyond, b"nonce", qos=1, packet_id=9))
    if version is Version.MQTT_5:
        assert talk.expect(Puback).reason == 0x90
        assert talk.is_alive()
    else:
        assert talk.is_closed()


@VERSIONS
def test_a_subscribe_has_8_filters_and_a_connection_50(house: House, twin: Talk, version: Version) -> None:
    lamp = house.thing()
    talk = house.live(lamp, version=version)
    filters = [topic_of(lamp, str(number)) for number in range(60)]
    refused = 0x97 if version is Version.MQTT_5 else 0x80
    assert talk.subscribe(*filters[:9]) == (0,) * 8 + (refused,)
    for at in range(8, 48, 8):
        assert talk.subscribe(*filters[at : at + 8]) == (0,) * 8
    assert talk.subscribe(*filters[48:52]) == (0, 0, refused, refused)
    # What it holds already may be asked for again.
    assert talk.subscribe(*filters[:2]) == (0, 0)


@VERSIONS
def test_a_payload_has_128_kib(house: House, log: Log, twin: Talk, version: Version) -> None:
    lamp = house.thing()
    talk, spy = house.live(lamp, version=version), house.spy(topic_of(lamp))
    talk.publish(topic_of(lamp), b"x" * 128 * KIB, qos=1)
    assert len(spy.message()[1]) == 128 * KIB
    talk.send(talk.build(topic_of(lamp), b"x" * (128 * KIB + 1), qos=1, packet_id=9))
    assert ended_by(talk, 0x95)
    (event,) = log.of(talk, "session.closed")
    assert (event["reason"], event["detail"]) == ("packet-too-large", f"a payload of {128 * KIB + 1} bytes")


@VERSIONS
def test_a_packet_has_146_kib(house: House, log: Log, twin: Talk, version: Version) -> None:
    lamp = house.thing()
    talk = house.talk(lamp, version=version)
    connack = talk.connect(name_of(lamp))
    if version is Version.MQTT_5:
        assert connack.properties.maximum_packet_size == 146 * KIB
    # Refused at its header: nobody waits for the rest of it.
    talk.send(talk.build(topic_of(lamp), b"x" * 146 * KIB, qos=1, packet_id=9).raw[:5])
    assert ended_by(talk, 0x95)
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["packet-too-large"]


def test_a_device_is_told_of_100_under_way_8_aliases_and_1200_seconds(house: House, twin: Talk) -> None:
    lamp = house.thing()
    talk = house.talk(lamp, version=Version.MQTT_5)
    told = talk.connect(name_of(lamp), keep_alive_s=0).properties
    assert (told.receive_maximum, told.topic_alias_maximum, told.server_keep_alive_s) == (100, 8, 1200)
    talk.send(talk.build(topic_of(lamp), b"x", properties=Properties(topic_alias=9)))
    assert ended_by(talk, 0x94)


def test_101_under_way_are_too_many(house: House, twin: Talk) -> None:
    lamp = house.thing()
    talk = house.live(lamp, version=Version.MQTT_5)
    # Of QoS 2, so that none of them is over before the device says so.
    talk.send(*(talk.build(topic_of(lamp), b"x", qos=2, packet_id=each) for each in range(1, 101)))
    for packet_id in range(1, 101):
        assert talk.expect(Pubrec) == Pubrec(packet_id)
    for _ in range(50):
        # As one more of this second it is discarded; of the next, it is one too many under way.
        talk.send(talk.build(topic_of(lamp), b"x", qos=2, packet_id=101))
        answer = talk.next()
        if answer != Pubrec(101, ReasonCode.QUOTA_EXCEEDED):
            break
        house.let_pass(0.05)
    assert isinstance(answer, Disconnect)
    assert answer.reason == 0x93


@VERSIONS
def test_a_client_id_connects_once_a_second(house: House, log: Log, twin: Talk, version: Version) -> None:
    both = allow("iot:Connect", "client/*")
    lamp, other = house.thing(both), house.thing(both)
    client_id = f"{name_of(lamp)}-shared"
    talks = [house.talk(lamp, version=version) for _ in range(3)]
    # All of them are proven, so that nothing but the CONNECT is left to be said.
    for talk in talks:
        talk.send(Connect(client_id, keep_alive_s=60, version=version))
    connacks = [talk.expect(Connack) for talk in talks]
    refused = 0x9F if version is Version.MQTT_5 else 3
    assert sorted(connack.code for connack in connacks) == [0, refused, refused]
    (live,) = [talk for talk, connack in zip(talks, connacks, strict=True) if not connack.code]
    for talk in talks:
        if talk is not live:
            assert talk.is_closed()
            assert [each["reason"] for each in log.of(talk, "connection.refused")] == ["connects-too-often"]
    # Who was refused has taken nothing over, and has used up nothing of another's under the same client id.
    assert live.is_alive()
    assert house.talk(other, version=version).connect(client_id).code == 0
    for _ in range(50):
        house.let_pass(0.2)
        if house.talk(lamp, version=version).connect(client_id).code == 0:
            break
    else:
        pytest.fail("it is never let in again")


@VERSIONS
def test_a_device_publishes_100_messages_a_second(house: House, log: Log, twin: Talk, version: Version) -> None:
    lamp = house.thing()
    topic = topic_of(lamp)
    talk, spy = house.live(lamp, version=version), house.spy(topic)
    before = discarded(house.gateway)
    last = talk.build(topic, b"last", qos=1, packet_id=9)
    talk.send(*(talk.build(topic, b"%d" % number) for number in range(FLOOD)), last, Pingreq())
    if version is Version.MQTT_5:
        assert talk.expect(Puback) == Puback(9, ReasonCode.QUOTA_EXCEEDED)
    # MQTT 3.1.1 has no answer to it but none.
    assert isinstance(talk.next(), Pingresp)
    lost = discarded(house.gateway) - before
    assert 0 < lost <= FLOOD + 1 - 100
    assert [spy.message() for _ in range(FLOOD + 1 - lost)][99] == (topic, b"99")
    assert {each["reason"] for each in log.of(talk, "publish.discarded")} == {"rate-exceeded"}
    for _ in range(50):
        house.let_pass(0.1)
        talk.send(talk.build(topic, b"again", qos=1, packet_id=9, dup=version is Version.MQTT_3_1_1), Pingreq())
        answers = [talk.next()]
        while not isinstance(answers[-1], Pingresp):
            answers.append(talk.next())
        if Puback(9) in answers:
            break
    else:
        pytest.fail("it is never heard again")
    assert spy.message() == (topic, b"again")


@VERSIONS
def test_a_device_is_delivered_100_messages_a_second(house: House, log: Log, twin: Talk, version: Version) -> None:
    lamp = house.thing()
    topic = topic_of(lamp)
    talk, spy = house.live(lamp, version=version), house.spy()
    talk.send(Subscribe(1, (Subscription(topic, 1),)))
    assert talk.expect(Suback).codes == (1,)
    spy.send(*(spy.build(topic, b"%d" % number) for number in range(FLOOD)))
    # A message that must not be lost is not.
    spy.publish(topic, b"last", qos=1)
    came = [talk.message()]
    while came[-1] != (topic, b"last"):
        came.append(talk.message())
    assert 100 <= len(came) < FLOOD
    assert came[99][1] == b"99"
    assert {each["reason"] for each in log.of(talk, "receive.discarded")} == {"rate-exceeded"}


def test_a_connection_carries_512_kib_a_second_each_way(house: House, log: Log, twin: Talk) -> None:
    lamp = house.thing()
    topic, chunk, count = topic_of(lamp), b"x" * 100 * KIB, 12
    talk = house.live(lamp)
    assert talk.subscribe(topic) == (0,)
    time_s = house.gateway._loop.time
    began_s = time_s()
    talk.send(*(talk.build(topic, chunk) for _ in range(count)))
    for _ in range(count):
        assert talk.message() == (topic, chunk)
    # A second's worth is there at once, and one read may be ahead.
    assert time_s() - began_s > (count * len(chunk) / KIB - 512 - 256) / 512 - 0.1
    assert {each["direction"] for each in log.of(talk, "session.paced")} == {"from-device", "to-device"}
    assert house.gateway.gateway._gate.meter.paced >= 2
    assert talk.is_alive()
