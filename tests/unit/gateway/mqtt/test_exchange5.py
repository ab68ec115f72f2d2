"""A device of MQTT 5 and a broker of 3.1.1: each is told in its own version what the other said, or why not."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fixtures.mqtt import allow
from tests.fixtures.reports import RecordingReport
from tests.unit.gateway.mqtt.sides import OPEN, SUBSCRIBE, grant, message

from troth.clock import SystemClock
from troth.gateway.denials import Denials
from troth.gateway.mqtt.deliveries import Asked
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.envelope import Content, is_sealed, open_envelope, origin_of, seal
from troth.gateway.mqtt.exchange5 import Exchange5
from troth.gateway.mqtt.names import Flavour, Names
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.terms import Terms
from troth.gateway.refusal import Reason
from troth.gateway.report import Who
from troth.limits import DEFAULT
from troth.protocols.mqtt import (
    Disconnect,
    Packet,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Reader,
    ReasonCode,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    build_publish,
)

ORIGIN = origin_of("5a" * 32)
SAID = Properties(content_type="text/plain", user_properties=(("a", "b"),))


class Sides5:
    """An exchange of MQTT 5 and what came out of it on either side."""

    def __init__(self, *, drops: bool = False, envelopes: bool = True, aws: bool = False, **asked: object) -> None:
        terms = Terms(Names(Flavour.NATS, 64, 16), DEFAULT, SystemClock(), drops, envelopes, aws)
        self.report = RecordingReport()
        denials = Denials(self.report, Who("c1", "127.0.0.1:1"))
        fields = {"receive_max": 10, "packet_bytes_max": None, "takes_identifiers": True, **asked}
        rights = grant(OPEN, SUBSCRIBE)
        self.exchange = Exchange5(terms, rights, OwnTopics(None, 2), denials, Asked(ORIGIN, **fields))  # type: ignore[arg-type]

    def device(self, *packets: Packet) -> None:
        self.exchange.from_device(packets)

    def broker(self, *packets: Packet) -> None:
        self.exchange.from_broker(packets)

    @property
    def to_broker(self) -> list[Packet]:
        return self._read(self.exchange.to_broker, Role.SERVER, "100c00044d515454040200000000", Version.MQTT_3_1_1)

    @property
    def to_device(self) -> list[Packet]:
        return self._read(self.exchange.to_device, Role.CLIENT, "2003000000", Version.MQTT_5)

    def _read(self, out: list[bytes], role: Role, opening: str, version: Version) -> list[Packet]:
        data = b"".join(out)
        out.clear()
        return Reader(1 << 20, role, version).feed(bytes.fromhex(opening) + data)[1:]


def five(topic: str, qos: int = 0, packet_id: int = 5, **fields: object) -> Publish:
    packet_id = packet_id if qos else 0
    return build_publish(topic, b"x", qos=qos, packet_id=packet_id, version=Version.MQTT_5, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_says_no_more_than_3_1_1_goes_as_that(qos: int) -> None:
    """Also where its length takes a byte more in one version than in the other, and whether its topic is known yet."""
    sides = Sides5(receive_max=100)
    for packet_id, size in enumerate((0, 0, 1, 100, *range(110, 122), 300, 20_000), 1):
        payload = b"\xfe" * size if size == 300 else b"x" * size
        said: dict[str, Any] = {"qos": qos, "packet_id": packet_id if qos else 0}
        here = build_publish("open/x", payload, version=Version.MQTT_5, **said)
        there = build_publish("open/x", payload, **said)
        sides.device(here)
        assert sides.to_broker == [there]
        sides.broker(there)
        assert sides.to_device == [here]


TOPICS = ["open/a", "open/b", "closed/a", "$SYS/x", "a b"]


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from([0, 1, 2]), st.sampled_from([Properties(), SAID]))),
    st.booleans(),
)
def test_nothing_but_what_is_open_gets_through(sent: list[tuple[str, int, Properties]], deliveries: bool) -> None:
    sides = Sides5(drops=True, receive_max=1000)
    if deliveries:
        packets = [message(topic, qos, place) for place, (topic, qos, _) in enumerate(sent, 1)]
        sides.broker(*packets)
        passed, answered = sides.to_device, sides.to_broker
    else:
        packets = [five(topic, qos, place, properties=said) for place, (topic, qos, said) in enumerate(sent, 1)]
        sides.device(*packets)
        passed, answered = sides.to_broker, sides.to_device
    through = [each for each in packets if each.topic.startswith("open/")]
    assert [each.topic for each in passed if isinstance(each, Publish)] == [each.topic for each in through]
    # Whoever sent something is owed an answer by exactly one of us.
    assert len(answered) == sum(1 for each in packets if each.qos and each not in through)


def test_what_says_more_goes_in_an_envelope_and_comes_out_of_it() -> None:
    sides = Sides5()
    sides.device(five("open/x", 1, properties=SAID))
    (sent,) = sides.to_broker
    assert isinstance(sent, Publish)
    assert open_envelope(sent) == Content(b"x", SAID)
    sides.broker(sent)
    assert sides.to_device == [five("open/x", 1, properties=SAID)]


def test_without_envelopes_it_is_refused_and_none_is_opened() -> None:
    sides = Sides5(envelopes=False)
    sealed = build_publish("open/x", seal(Content(b"x", SAID)), version=Version.MQTT_5)
    for packet in (five("open/x", properties=SAID), sealed):
        with pytest.raises(Ended) as ended:
            sides.device(packet)
        assert ended.value.reason is Reason.PROPERTIES_REFUSED
    sides.device(five("open/x", 1, properties=SAID))
    assert sides.to_device == [Puback(5, ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR)]
    assert sides.to_broker == []
    sides.broker(build_publish("open/x", seal(Content(b"x", SAID))))
    (delivered,) = sides.to_device
    assert isinstance(delivered, Publish)
    assert is_sealed(delivered)


def test_an_expired_message_is_acknowledged_and_not_delivered() -> None:
    sides = Sides5()
    sides.broker(build_publish("open/x", seal(Content(b"x", expires_ms=1)), qos=1, packet_id=7))
    assert sides.to_device == []
    assert sides.to_broker == [Puback(7)]


def test_refusals_have_codes() -> None:
    sides = Sides5()
    sides.device(five("closed/x", 1), five("closed/x", 2), five("open/*", 1, 6))
    refused = ReasonCode.NOT_AUTHORIZED
    assert sides.to_device == [Puback(5, refused), Pubrec(5, refused), Puback(6, ReasonCode.TOPIC_NAME_INVALID)]
    asked = [Subscription(each) for each in ("closed/x", "open/*", "$share/g/open/x", "open/x")]
    sides.device(Subscribe(1, tuple(asked)))
    assert sides.to_broker == [Subscribe(1, (asked[3],))]
    sides.broker(Suback(1, (0,)))
    (answer,) = sides.to_device
    # Policy denies the shared one, too: that is what is told.
    assert answer == Suback(1, (0x87, 0x8F, 0x87, 0))
    with pytest.raises(Ended) as ended:
        sides.device(five("closed/x"))
    assert ended.value.reason is Reason.PUBLISH_DENIED


def test_a_drop_says_so_where_that_can_be_said() -> None:
    sides = Sides5(drops=True)
    sides.device(five("closed/x"), five("closed/x", 1))
    assert sides.to_device == [Puback(5, ReasonCode.NOT_AUTHORIZED)]


def test_each_filter_that_is_given_back_has_a_code() -> None:
    sides = Sides5()
    sides.device(Unsubscribe(4, ("$SYS/#", "open/a")))
    assert sides.to_broker == [Unsubscribe(4, ("open/a",))]
    sides.broker(Unsuback(4))
    assert sides.to_device == [Unsuback(4, (0x11, 0))]


def test_what_policy_takes_away_is_given_back_by_the_gateway_alone() -> None:
    sides = Sides5()
    sides.device(Subscribe(1, (Subscription("open/a"),)))
    sides.broker(Suback(1, (0,)))
    sides.exchange.to_broker.clear()
    sides.exchange.to_device.clear()
    sides.exchange.regrant(grant(OPEN))
    (withdrawn,) = sides.to_broker
    assert isinstance(withdrawn, Unsubscribe)
    assert withdrawn.topic_filters == ("open/a",)
    # The device uses the same identifier meanwhile, and is answered once.
    sides.device(Unsubscribe(withdrawn.packet_id, ("open/b",)))
    sides.broker(Unsuback(withdrawn.packet_id), Unsuback(withdrawn.packet_id))
    assert sides.to_device == [Unsuback(withdrawn.packet_id, (0,))]


def test_a_packet_identifier_is_under_way_once() -> None:
    sides = Sides5()
    sides.device(five("open/x", 1))
    with pytest.raises(Ended):
        sides.device(five("open/x", 1))
    sides = Sides5()
    sides.device(five("open/x", 2))
    sides.broker(Pubrec(5))
    sides.device(Pubrel(5))
    sides.broker(Pubcomp(5))
    sides.device(five("open/x", 2))
    assert sides.to_device == [Pubrec(5), Pubcomp(5)]


def test_its_own_messages_are_known_by_their_origin_alone() -> None:
    sides = Sides5()
    sides.device(Subscribe(1, (Subscription("open/a", 1, no_local=True),)))
    sides.broker(Suback(1, (1,)))
    sides.exchange.to_device.clear()
    sides.exchange.to_broker.clear()
    sides.device(five("open/a", 1))
    (sent,) = sides.to_broker
    assert isinstance(sent, Publish)
    sides.broker(sent)
    assert sides.to_device == []
    assert sides.to_broker == [Puback(5)]
    sides.broker(build_publish("open/a", seal(Content(b"x", origin=b"another."))))
    assert [type(each) for each in sides.to_device] == [Publish]


def test_its_last_word_is_kept_and_passed_on_if_it_is_friendly() -> None:
    for reason, passed in ((ReasonCode.NORMAL_DISCONNECTION, True), (ReasonCode.DISCONNECT_WITH_WILL, False)):
        sides = Sides5()
        with pytest.raises(Ended):
            sides.device(Disconnect(reason))
        assert sides.exchange.left == Disconnect(reason)
        assert (sides.to_broker == [Disconnect()]) is passed


def test_aws_takes_no_qos_2() -> None:
    for packet in (five("open/x", 2), Subscribe(1, (Subscription("open/x", 2),))):
        with pytest.raises(Ended) as ended:
            Sides5(aws=True).device(packet)
        assert ended.value.reason is Reason.QOS_REFUSED


def test_a_grant_counts_from_the_next_packet() -> None:
    sides = Sides5()
    sides.device(five("later/x", 1))
    sides.exchange.regrant(grant(allow("iot:*", "*")))
    sides.device(five("later/x", 1))
    assert [type(each) for each in sides.to_broker] == [Publish]


def test_what_is_held_back_for_a_device_is_known() -> None:
    sides = Sides5(receive_max=1)
    for packet_id in (1, 2, 3):
        sides.broker(message("open/x", 1, packet_id))
    (first,) = sides.exchange.to_device
    assert sides.exchange.held_back_bytes == 2 * len(first)
    sides.device(Puback(1), Puback(2))
    assert sides.exchange.held_back_bytes == 0
