"""MQTT 3.1.1 and 5.0, both ends, without I/O: `Reader` turns bytes into packets, `render` packets into bytes.

Source: OASIS MQTT Version 3.1.1 (29 October 2014) and Version 5.0 (7 March 2019).
"""

from troth.protocols.mqtt.faults import StreamFault
from troth.protocols.mqtt.order import Role, State
from troth.protocols.mqtt.packet_types import PacketType, Version
from troth.protocols.mqtt.packets import (
    SUBSCRIPTION_REFUSED,
    Auth,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
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
from troth.protocols.mqtt.properties import NO_PROPERTIES, SESSION_NEVER_EXPIRES, Properties
from troth.protocols.mqtt.publishing import build_publish, convert
from troth.protocols.mqtt.reader import Reader
from troth.protocols.mqtt.reason_codes import ReasonCode
from troth.protocols.mqtt.reasons import CONNACK_CODES, CONNACK_REASONS, connack_code, connack_reason
from troth.protocols.mqtt.topics import filter_problem, matches, split_share, topic_problem
from troth.protocols.mqtt.writer import render

__all__ = [
    "CONNACK_CODES",
    "CONNACK_REASONS",
    "NO_PROPERTIES",
    "SESSION_NEVER_EXPIRES",
    "SUBSCRIPTION_REFUSED",
    "Auth",
    "Connack",
    "ConnackCode",
    "Connect",
    "Disconnect",
    "Packet",
    "PacketType",
    "Pingreq",
    "Pingresp",
    "Properties",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Reader",
    "ReasonCode",
    "Role",
    "State",
    "StreamFault",
    "Suback",
    "Subscribe",
    "Subscription",
    "Unsuback",
    "Unsubscribe",
    "Version",
    "Will",
    "build_publish",
    "connack_code",
    "connack_reason",
    "convert",
    "filter_problem",
    "matches",
    "render",
    "split_share",
    "topic_problem",
]
