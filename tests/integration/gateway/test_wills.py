"""That a will is published whoever comes next: the broker sees the first go before it is told of the second.

NATS drops the will of a client whose successor comes first.
"""

import pytest
from tests.fixtures.house import House, name_of

from troth.protocols.mqtt import Disconnect, Properties, Version, Will

pytestmark = pytest.mark.slow
ROUNDS = 5


@pytest.mark.parametrize("is_taken_over", [True, False], ids=["taken over", "back at once"])
def test_the_will_of_the_one_before_is_published(house: House, *, is_taken_over: bool) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    for number in range(ROUNDS):
        payload = b"%d" % number
        before = house.live(lamp, will=Will(topic, payload, 1))
        if not is_taken_over:
            before.socket.close()
        with house.live(lamp) as after:
            assert spy.message() == (topic, payload)
            assert after.is_alive()
            after.send(Disconnect())


def test_a_will_that_waited_is_published_where_its_session_begins_anew(house: House) -> None:
    lamp = house.thing()
    topic = f"home/{name_of(lamp)}/gone"
    spy = house.spy(topic)
    for number in range(ROUNDS):
        will = Will(topic, b"%d" % number, 1, properties=Properties(will_delay_s=600))
        kept = Properties(session_expiry_s=600)
        house.live(lamp, version=Version.MQTT_5, will=will, properties=kept).socket.close()
        house.live(lamp, version=Version.MQTT_5, clean_session=True)
        assert spy.message() == (topic, will.payload)
