"""One write to each side for each read, one side slowed down by the other, and time that runs out."""

import pytest
from tests.fixtures.mqtt import allow
from tests.unit.gateway.mqtt.sides import Sides, message
from tests.unit.gateway.mqtt.wires import Nobody, Wire

from troth.gateway.meter import Meter
from troth.gateway.mqtt.opening import honoured_keep_alive_s
from troth.gateway.mqtt.relay import READ_BYTES, Ending, Relay
from troth.gateway.mqtt.upstream import Link
from troth.gateway.mqtt.valve import Valve
from troth.gateway.refusal import Reason
from troth.limits import DEFAULT, Limits
from troth.protocols.mqtt import Connect, Packet, Pingreq, Pingresp, Subscribe, Subscription, render

BOUND = 512 * 1024
LIMITS = Limits(write_queue_bytes_max=BOUND)
KEEP_ALIVE_S = 40


class Bench:
    """A relay between two wires."""

    def __init__(self) -> None:
        self.device, self.broker = Wire(), Wire()
        link = Link(Nobody(), b"", 1024 * 1024)
        link.connection_made(self.broker)
        self.broker.writes.clear()
        sides = Sides(allow("iot:*", "*"))
        intake, denials = Valve(self.device), sides.denials
        self.relay = Relay(self.device, intake, link, sides.exchange, KEEP_ALIVE_S, LIMITS, Meter(), denials)
        self.ends: list[Reason] = []

    def from_device(self, packets: list[Packet]) -> None:
        self._note(self.relay.from_device(packets))

    def from_broker(self, packets: list[Packet]) -> None:
        self._note(self.relay.from_broker(packets))

    def tick(self, now_s: float) -> None:
        self._note(self.relay.tick(now_s))

    def _note(self, ending: Ending | None) -> None:
        if ending is not None:
            self.ends.append(ending[0])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_all_of_one_read_goes_in_one_write(bench: Bench) -> None:
    packets = [message(f"a/{each}") for each in range(20)]
    bench.from_device(list(packets))
    assert bench.broker.writes == [b"".join(each.raw for each in packets)]
    bench.from_broker(list(packets))
    assert bench.device.writes == [b"".join(each.raw for each in packets)]
    bench.from_device([])
    assert len(bench.broker.writes) == 1


def test_one_side_waits_for_the_other(bench: Bench) -> None:
    bench.relay.device_slow(1.0)
    assert not bench.broker.reading
    bench.relay.device_slow(None)
    assert bench.broker.reading
    bench.relay.broker_slow(True)
    assert not bench.device.reading
    bench.relay.broker_slow(False)
    assert bench.device.reading
    assert bench.ends == []


def test_a_device_that_asks_and_does_not_read_is_ended(bench: Bench) -> None:
    denied = Subscribe(1, (Subscription("$SYS/#"),))
    bench.relay.device_slow(1.0)
    # What one read of the broker can bring on top is not held against it.
    bench.device.waiting = BOUND + READ_BYTES
    bench.from_device([denied])
    assert bench.ends == []
    bench.device.waiting = 2 * BOUND + 1
    bench.from_device([denied])
    assert bench.ends == [Reason.SLOW_READER]


def test_a_slow_device_is_not_waited_for_for_ever(bench: Bench) -> None:
    bench.relay.device_slow(100.0)
    bench.from_device([])
    bench.tick(100.0 + 1.5 * KEEP_ALIVE_S)
    assert bench.ends == []
    bench.from_device([])
    bench.tick(101.0 + 1.5 * KEEP_ALIVE_S)
    assert bench.ends == [Reason.SLOW_READER]


def test_silence_ends_it_after_one_and_a_half_keep_alives(bench: Bench) -> None:
    bench.tick(0.0)
    bench.tick(1.5 * KEEP_ALIVE_S - 1)
    bench.from_device([Pingreq()])
    bench.tick(1.5 * KEEP_ALIVE_S)
    bench.tick(3.0 * KEEP_ALIVE_S - 1)
    assert bench.ends == []
    bench.tick(3.0 * KEEP_ALIVE_S)
    assert bench.ends == [Reason.KEEP_ALIVE]


def test_a_device_that_is_not_listened_to_is_not_silent(bench: Bench) -> None:
    bench.tick(0.0)
    bench.relay.broker_slow(True)
    bench.tick(10.0 * KEEP_ALIVE_S)
    assert bench.ends == []


def test_the_broker_hears_of_a_device_whose_packets_all_end_here(bench: Bench) -> None:
    denied = [Subscribe(1, (Subscription("$SYS/#"),))]
    for now in range(0, 300, 5):
        bench.from_device(list(denied))
        bench.tick(float(now))
    assert bench.ends == []
    pings = [each for each in bench.broker.writes if each == render(Pingreq())]
    assert 4 <= len(pings) <= 10
    answers = len(bench.device.writes)
    bench.from_broker([Pingresp()])
    assert len(bench.device.writes) == answers


@pytest.mark.parametrize(("asked", "honoured"), [(0, 1200), (1, 1), (60, 60), (1200, 1200), (65535, 1200)])
def test_the_keep_alive_is_bounded(asked: int, honoured: int) -> None:
    assert honoured_keep_alive_s(Connect("lamp", keep_alive_s=asked), DEFAULT) == honoured
