"""The two words that everything in this package is told apart by: the version that is spoken, and the packet's type."""

from enum import IntEnum


class Version(IntEnum):
    """A protocol level: the number in CONNECT (section 3.1.2.2 of either standard)."""

    MQTT_3_1_1 = 4
    MQTT_5 = 5


class PacketType(IntEnum):
    """What a packet is: the high four bits of its first byte (table 2.1). AUTH is of MQTT 5.0 only."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15
