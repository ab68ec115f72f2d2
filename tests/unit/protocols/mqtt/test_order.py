"""The tables of order are whole and say what the standards' table 2.1 says of directions."""

import pytest

from troth.protocols.mqtt import PacketType, Role, State, Version
from troth.protocols.mqtt.order import TRANSITIONS

CLIENT_TO_SERVER = {"CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "DISCONNECT"}
SERVER_TO_CLIENT = {"CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"}


VERSIONS = pytest.mark.parametrize("version", Version)


@VERSIONS
@pytest.mark.parametrize(("role", "others"), [(Role.SERVER, SERVER_TO_CLIENT), (Role.CLIENT, CLIENT_TO_SERVER)])
def test_every_packet_comes_from_the_right_side(version: Version, role: Role, others: set[str]) -> None:
    legal = {packet_type.name for after in TRANSITIONS[version][role].values() for packet_type in after}
    if version is Version.MQTT_5:
        others = others - {"DISCONNECT"}
    if version is not Version.MQTT_5 or role is not Role.SERVER:
        others = others | {"AUTH"}
    assert legal == {packet_type.name for packet_type in PacketType} - others


@VERSIONS
@pytest.mark.parametrize("role", Role)
def test_every_state_is_in_the_table(version: Version, role: Role) -> None:
    assert set(TRANSITIONS[version][role]) == set(State)


@VERSIONS
def test_a_conversation_opens_with_one_packet_only(version: Version) -> None:
    table = TRANSITIONS[version]
    assert table[Role.SERVER][State.OPENING] == {PacketType.CONNECT: State.OPEN}
    assert table[Role.CLIENT][State.OPENING] == {PacketType.CONNACK: State.OPEN}
    assert PacketType.CONNECT not in table[Role.SERVER][State.OPEN]
    assert PacketType.CONNACK not in table[Role.CLIENT][State.OPEN]


@VERSIONS
def test_nothing_comes_after_the_end(version: Version) -> None:
    assert not TRANSITIONS[version][Role.SERVER][State.CLOSED]
    assert TRANSITIONS[version][Role.SERVER][State.OPEN][PacketType.DISCONNECT] is State.CLOSED


def test_only_a_server_of_5_takes_its_leave() -> None:
    assert TRANSITIONS[Version.MQTT_5][Role.CLIENT][State.OPEN][PacketType.DISCONNECT] is State.CLOSED
    assert PacketType.DISCONNECT not in TRANSITIONS[Version.MQTT_5][Role.CLIENT][State.OPENING]  # [MQTT-3.14.0-1]
