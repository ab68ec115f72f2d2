"""Which packet may come when, as a table: one for what a server is sent, one for what a client is sent.

Everything that decides on order stands in this file. It knows the type of a packet and nothing of its content.
Source: for 3.1.1 [MQTT-3.1.0-1] CONNECT comes first, [MQTT-3.1.0-2] and once, [MQTT-3.2.0-1] CONNACK comes first,
[MQTT-3.14.4-2] nothing comes after DISCONNECT, and table 2.1 for the direction of each packet; 5.0 numbers them alike
and adds that a server may take its leave with DISCONNECT once it has said yes [MQTT-3.14.0-1], and AUTH.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from troth.protocols.mqtt.packet_types import PacketType, Version


class Role(StrEnum):
    """Which end of a conversation we are."""

    CLIENT = "client"
    SERVER = "server"


class State(StrEnum):
    """How far the other side's half of a conversation has come."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


_BOTH_WAYS: Final = (
    PacketType.PUBLISH,
    PacketType.PUBACK,
    PacketType.PUBREC,
    PacketType.PUBREL,
    PacketType.PUBCOMP,
)

_TO_A_SERVER: Final = {
    **dict.fromkeys(_BOTH_WAYS, State.OPEN),
    PacketType.SUBSCRIBE: State.OPEN,
    PacketType.UNSUBSCRIBE: State.OPEN,
    PacketType.PINGREQ: State.OPEN,
    PacketType.DISCONNECT: State.CLOSED,
}
_TO_A_CLIENT: Final = {
    **dict.fromkeys(_BOTH_WAYS, State.OPEN),
    PacketType.SUBACK: State.OPEN,
    PacketType.UNSUBACK: State.OPEN,
    PacketType.PINGRESP: State.OPEN,
}


def _states(first: PacketType, then: Mapping[PacketType, State]) -> Mapping[State, Mapping[PacketType, State]]:
    return MappingProxyType(
        {
            State.OPENING: MappingProxyType({first: State.OPEN}),
            # A client need not wait for its CONNACK (section 3.1.4, non-normative end).
            State.OPEN: MappingProxyType(then),
            State.CLOSED: MappingProxyType({}),
        }
    )


TRANSITIONS: Final[Mapping[Version, Mapping[Role, Mapping[State, Mapping[PacketType, State]]]]] = MappingProxyType(
    {
        Version.MQTT_3_1_1: MappingProxyType(
            {
                Role.SERVER: _states(PacketType.CONNECT, _TO_A_SERVER),
                # A server has no last word in 3.1.1: it closes.
                Role.CLIENT: _states(PacketType.CONNACK, _TO_A_CLIENT),
            }
        ),
        Version.MQTT_5: MappingProxyType(
            {
                Role.SERVER: _states(PacketType.CONNECT, {**_TO_A_SERVER, PacketType.AUTH: State.OPEN}),
                # No client of ours begins an enhanced authentication, so no server may go on with one [MQTT-4.12.0-6].
                Role.CLIENT: _states(PacketType.CONNACK, {**_TO_A_CLIENT, PacketType.DISCONNECT: State.CLOSED}),
            }
        ),
    }
)
"""The version, our role, the state, the packet that came: the next state. What is not in the table is a breach of the
protocol, and `Reader` refuses it at its first byte."""
