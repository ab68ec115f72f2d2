"""MQTT 3.1.1, both ends, without I/O: `Reader` turns bytes into packets, `render` packets into bytes.

Source: OASIS MQTT Version 3.1.1 (29 October 2014).
"""

from troth.protocols.mqtt.order import Role, State
from troth.protocols.mqtt.packets import (
    SUBSCRIPTION_REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    PacketType,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from troth.protocols.mqtt.reader import Reader, StreamFault
from troth.protocols.mqtt.reasons import CONNACK_CODES, connack_code
from troth.protocols.mqtt.topics import filter_problem, matches, split_share, topic_problem
from troth.protocols.mqtt.writer import build_publish, render

__all__ = [
    "CONNACK_CODES",
    "SUBSCRIPTION_REFUSED",
    "Connack",
    "ConnackCode",
    "Connect",
    "Disconnect",
    "Packet",
    "PacketType",
    "Pingreq",
    "Pingresp",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Reader",
    "Role",
    "State",
    "StreamFault",
    "Suback",
    "Subscribe",
    "Subscription",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "build_publish",
    "connack_code",
    "filter_problem",
    "matches",
    "render",
    "split_share",
    "topic_problem",
]
