"""The table of order is whole and says what the standard's table 2.1 says of directions."""

import pytest

from troth.protocols.mqtt import PacketType, Role, State
from troth.protocols.mqtt.order import TRANSITIONS

CLIENT_TO_SERVER = {"CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "DISCONNECT"}
SERVER_TO_CLIENT = {"CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"}


@pytest.mark.parametrize(("role", "others"), [(Role.SERVER, SERVER_TO_CLIENT), (Role.CLIENT, CLIENT_TO_SERVER)])
def test_every_packet_comes_from_the_right_side(role: Role, others: set[str]) -> None:
    legal = {packet_type.name for after in TRANSITIONS[role].values() for packet_type in after}
    assert legal == {packet_type.name for packet_type in PacketType} - others


@pytest.mark.parametrize("role", Role)
def test_every_state_is_in_the_table(role: Role) -> None:
    assert set(TRANSITIONS[role]) == set(State)


def test_a_conversation_opens_with_one_packet_only() -> None:
    assert TRANSITIONS[Role.SERVER][State.OPENING] == {PacketType.CONNECT: State.OPEN}
    assert TRANSITIONS[Role.CLIENT][State.OPENING] == {PacketType.CONNACK: State.OPEN}
    assert PacketType.CONNECT not in TRANSITIONS[Role.SERVER][State.OPEN]
    assert PacketType.CONNACK not in TRANSITIONS[Role.CLIENT][State.OPEN]


def test_nothing_comes_after_the_end() -> None:
    assert not TRANSITIONS[Role.SERVER][State.CLOSED]
    assert TRANSITIONS[Role.SERVER][State.OPEN][PacketType.DISCONNECT] is State.CLOSED
