"""Policies of groups at the gateway: they count while a thing is in the group, and live sessions feel each change."""

import itertools
from contextlib import AbstractContextManager

import pytest
from tests.fixtures.house import ACTOR, House, name_of
from tests.fixtures.mqtt import allow, deny, policy

from troth.journal.change import Change, change
from troth.registry.groups import add_member, create_group, delete_group, remove_member
from troth.registry.policies import attach_policy, create_policy, detach_policy
from troth.testing.authority import Held

# What a principal may do is decided before any broker is asked.
pytestmark = pytest.mark.parametrize("broker", ["nats"], indirect=True)
ME = "${iot:Connection.Thing.ThingName}"
CONNECT = allow("iot:Connect", f"client/{ME}")
PUBLISH = allow("iot:Publish", "topic/floor/*")
_numbers = itertools.count(1)


class Floor:
    """A house of one floor of its own, and what happens there."""

    def __init__(self, house: House) -> None:
        self._house = house
        number = next(_numbers)
        self.house, self.floor = f"house-{number}", f"floor-{number}"
        with self.change() as changing:
            create_group(changing, self.house)
            create_group(changing, self.floor, self.house)

    def change(self) -> AbstractContextManager[Change]:
        return change(self._house.site.db, self._house.site.clock, ACTOR)

    def policy(self, group: str, *statements: dict[str, object]) -> str:
        name = f"of-{group}-{next(_numbers)}"
        with self.change() as changing:
            create_policy(changing, name, policy(*statements))
            attach_policy(changing, name, group=group)
        self._house.gateway.settle()
        return name

    def lamp(self) -> Held:
        lamp = self._house.thing(CONNECT)
        with self.change() as changing:
            add_member(changing, self.floor, name_of(lamp))
        self._house.gateway.settle()
        return lamp

    def may_publish(self, lamp: Held) -> bool:
        with self._house.live(lamp) as talk:
            talk.publish("floor/x", b"1")
            return talk.is_alive()


@pytest.fixture
def floor(house: House) -> Floor:
    return Floor(house)


def test_what_the_group_above_allows_its_things_may(house: House, floor: Floor) -> None:
    lamp, stranger = floor.lamp(), house.thing(CONNECT)
    assert not floor.may_publish(lamp)
    floor.policy(floor.house, PUBLISH)
    assert floor.may_publish(lamp)
    assert not floor.may_publish(stranger)
    # A denial of the floor's own counts against what the house allows.
    floor.policy(floor.floor, deny("iot:Publish", "topic/floor/*"))
    assert not floor.may_publish(lamp)


@pytest.mark.parametrize("what", ["taken out", "detached", "deleted"])
def test_a_live_session_loses_what_its_group_allowed(house: House, floor: Floor, what: str) -> None:
    name = floor.policy(floor.floor, PUBLISH)
    lamp, twin = floor.lamp(), house.thing(CONNECT, PUBLISH)
    talk, other = house.live(lamp), house.live(twin)
    talk.publish("floor/x", b"1", qos=1)
    with floor.change() as changing:
        if what == "taken out":
            remove_member(changing, floor.floor, name_of(lamp))
        elif what == "detached":
            detach_policy(changing, name, group=floor.floor)
        else:
            delete_group(changing, floor.floor)
    house.gateway.settle()
    assert talk.is_alive()
    talk.publish("floor/x", b"2")
    assert not talk.is_alive()
    other.publish("floor/x", b"3", qos=1)
    assert other.is_alive()


def test_a_live_session_ends_when_its_group_alone_let_it_in(house: House, floor: Floor) -> None:
    floor.policy(floor.house, CONNECT)
    lamp = house.thing(allow("iot:Publish", "topic/floor/*"))
    with floor.change() as changing:
        add_member(changing, floor.floor, name_of(lamp))
    house.gateway.settle()
    talk = house.live(lamp)
    with floor.change() as changing:
        remove_member(changing, floor.floor, name_of(lamp))
    assert talk.is_closed()


def test_a_live_session_gains_what_its_group_allows(house: House, floor: Floor) -> None:
    lamp = floor.lamp()
    talk = house.live(lamp)
    floor.policy(floor.floor, PUBLISH)
    talk.publish("floor/x", b"1", qos=1)
    assert talk.is_alive()


def test_a_groups_policies_count_for_its_things_alone(house: House, floor: Floor) -> None:
    """Not for a thing of the group's name, nor for a client id that is the thing's on another certificate."""
    with floor.change() as changing:
        create_group(changing, f"lamp-named-{floor.floor}")
    floor.policy(f"lamp-named-{floor.floor}", PUBLISH)
    namesake = house.site.device(f"lamp-named-{floor.floor}")
    with floor.change() as changing:
        _allow_connect(changing, f"lamp-named-{floor.floor}")
    house.gateway.settle()
    assert not floor.may_publish(namesake)


def _allow_connect(changing: Change, thing: str) -> None:
    create_policy(changing, f"connect-{thing}", policy(CONNECT))
    attach_policy(changing, f"connect-{thing}", thing=thing)
