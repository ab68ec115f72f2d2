"""Reading that is held up for several reasons, bytes that wait for their second, messages that are too many."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.unit.gateway.mqtt.sides import Sides, message
from tests.unit.gateway.mqtt.wires import Wire

from troth.gateway.meter import Meter
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.pace import Ration, throttle
from troth.gateway.mqtt.valve import Valve, Why
from troth.gateway.refusal import Reason
from troth.limits import DEFAULT, Limits
from troth.protocols.mqtt import Puback, Publish, build_publish


def test_a_valve_opens_when_every_reason_has_ended() -> None:
    wire = Wire()
    valve = Valve(wire)
    valve.shut(Why.MEMORY)
    valve.shut(Why.PACE)
    valve.shut(Why.PACE)
    valve.open(Why.MEMORY)
    valve.open(Why.OTHER_SIDE)
    assert valve.is_shut
    assert not wire.reading
    valve.open(Why.PACE)
    assert not valve.is_shut
    assert wire.reading


def test_what_is_over_a_second_s_bytes_waits_and_is_told_once() -> None:
    wire, meter, sides = Wire(), Meter(), Sides()
    limits = Limits(throughput_bytes_per_second_max=1000)

    async def main() -> None:
        slowed = throttle(limits, Valve(wire), meter, sides.denials, "from-device")
        assert slowed is not None
        slowed.passed(1000)
        assert wire.reading
        for _ in range(2):
            slowed.passed(2000)
            assert not wire.reading
        now_s = asyncio.get_running_loop().time()
        slowed.tick(now_s + 3.9)
        assert not wire.reading
        slowed.tick(now_s + 4.1)
        assert wire.reading

    with capture_logs() as logs:
        asyncio.run(main())
    assert [each["event"] for each in logs] == ["session.paced"]
    assert meter.paced == 2


def test_without_a_bound_there_is_nothing_to_count() -> None:
    assert throttle(DEFAULT, Valve(Wire()), Meter(), Sides().denials, "from-device") is None


class Rationed:
    def __init__(self, **bounds: int) -> None:
        self.sides = Sides()
        self.now_s = 0.0
        self.ration = Ration(self.sides.exchange, Limits(**bounds), lambda: self.now_s)

    def published(self, *packets: Publish) -> int:
        self.ration.from_device(packets)
        return len(self.sides.to_broker)

    def delivered(self, *packets: Publish) -> list[Publish]:
        self.ration.from_broker(packets)
        return [each for each in self.sides.to_device if isinstance(each, Publish)]


def test_each_way_has_its_own_messages_and_other_packets_are_none() -> None:
    rationed = Rationed(messages_per_second_max=10)
    flood = [message("open/x")] * 15
    assert rationed.published(*flood) == 10
    assert len(rationed.delivered(*flood)) == 10
    rationed.ration.from_device([Puback(1)] * 5)
    assert len(rationed.sides.to_broker) == 5
    rationed.now_s = 0.5
    assert rationed.published(*flood) == 5
    assert set(rationed.sides.report.denied_events) == {
        ("publish.discarded", "iot:Publish", "topic/open/x", "implicit-deny", "rate-exceeded"),
        ("receive.discarded", "iot:Receive", "topic/open/x", "implicit-deny", "rate-exceeded"),
    }


def test_a_delivery_that_is_acknowledged_counts_and_comes() -> None:
    rationed = Rationed(messages_per_second_max=2)
    came = rationed.delivered(*[message("open/x", qos=1)] * 5, message("open/x"))
    assert [each.qos for each in came] == [1] * 5


def test_a_payload_is_bounded_whatever_its_topic() -> None:
    rationed = Rationed(payload_bytes_max=100)
    assert rationed.published(build_publish("open/" + "x" * 50, b"x" * 100)) == 1
    with pytest.raises(Ended) as ended:
        rationed.published(build_publish("open/x", b"x" * 101))
    assert ended.value.reason is Reason.PACKET_TOO_LARGE
