"""Which packet may come when, as a table: one for what a server is sent, one for what a client is sent.

Everything that decides on order stands in this file. It knows the type of a packet and nothing of its content.
Source: [MQTT-3.1.0-1] CONNECT comes first, [MQTT-3.1.0-2] and once, [MQTT-3.2.0-1] CONNACK comes first,
[MQTT-3.14.4-2] nothing comes after DISCONNECT, and table 2.1 for the direction of each packet.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from troth.protocols.mqtt.packets import PacketType


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

TRANSITIONS: Final[Mapping[Role, Mapping[State, Mapping[PacketType, State]]]] = MappingProxyType(
    {
        Role.SERVER: MappingProxyType(
            {
                State.OPENING: MappingProxyType({PacketType.CONNECT: State.OPEN}),
                # A client need not wait for its CONNACK (section 3.1.4, non-normative end).
                State.OPEN: MappingProxyType(
                    {
                        **dict.fromkeys(_BOTH_WAYS, State.OPEN),
                        PacketType.SUBSCRIBE: State.OPEN,
                        PacketType.UNSUBSCRIBE: State.OPEN,
                        PacketType.PINGREQ: State.OPEN,
                        PacketType.DISCONNECT: State.CLOSED,
                    }
                ),
                State.CLOSED: MappingProxyType({}),
            }
        ),
        Role.CLIENT: MappingProxyType(
            {
                State.OPENING: MappingProxyType({PacketType.CONNACK: State.OPEN}),
                State.OPEN: MappingProxyType(
                    {
                        **dict.fromkeys(_BOTH_WAYS, State.OPEN),
                        PacketType.SUBACK: State.OPEN,
                        PacketType.UNSUBACK: State.OPEN,
                        PacketType.PINGRESP: State.OPEN,
                    }
                ),
                State.CLOSED: MappingProxyType({}),  # a server has no last word in 3.1.1: it closes
            }
        ),
    }
)
"""Our role, the state, the packet that came: the next state. What is not in the table is a breach of the protocol, and
`Reader` refuses it at its first byte."""
