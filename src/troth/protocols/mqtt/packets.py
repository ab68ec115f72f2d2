"""The control packets of MQTT 3.1.1 and 5.0 as values. Knows nothing of bytes but what `Publish` carries.

What only 5.0 can say has a default that says nothing. Source: OASIS MQTT 3.1.1 and 5.0, chapter 3 of either; clauses
are cited as the standard numbers them, for instance [MQTT-2.3.1-1].
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from troth.protocols.mqtt.packet_types import Version
from troth.protocols.mqtt.properties import NO_PROPERTIES, Properties
from troth.protocols.mqtt.reason_codes import ReasonCode


class ConnackCode(IntEnum):
    """The answer to a CONNECT of MQTT 3.1.1 (table 3.1); 5.0 answers with a `ReasonCode`."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


CONNACK_CODE_MAX = max(ConnackCode)
"""The last of them: what is above it, 3.1.1 cannot say."""

SUBSCRIPTION_REFUSED = 0x80
"""The code in a SUBACK of 3.1.1 that says no to one filter; 0, 1 and 2 grant that QoS [MQTT-3.9.3-2].

In 5.0 it is one of several that do: all from here on.
"""


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes for a client that goes without a DISCONNECT (section 3.1.2.5)."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connect:
    """A client opens the conversation (section 3.1). `keep_alive_s` is in seconds, 0 to 65,535; 0 turns it off.

    `clean_session` is what 5.0 calls a clean start: what is left of an earlier session is forgotten. How long this one
    is kept is another question there: `session_expiry_s` of `properties`. The rest of the conversation is of `version`.
    """

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 0
    will: Will | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    version: Version = Version.MQTT_3_1_1
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Connack:
    """The server's answer to a CONNECT (section 3.2). In both versions it is yes when `code` is 0, and only then."""

    code: ConnackCode | ReasonCode
    session_present: bool = False
    properties: Properties = NO_PROPERTIES


class Publish(NamedTuple):
    """A message, either way (section 3.3). Made by `Reader` and by `writer.build_publish`, never by hand.

    `raw` is the whole packet as it came, so that a gateway passes it on as it is; the other fields are what was read
    in it. `packet_id` is 0 when `qos` is 0, and only then. `payload_at` is where in `raw` the payload begins.
    `topic` is what a topic alias stands for, where `raw` has only that: such a packet (`properties.topic_alias`) says
    nothing to anybody else, nor does one of another version; `writer.convert` writes it anew.

    A named tuple and no dataclass, because it is made once for every message: in 0.2 microseconds where a frozen
    dataclass takes a whole one.
    """

    raw: bytes
    topic: str
    qos: int
    retain: bool
    packet_id: int
    payload_at: int
    properties: Properties = NO_PROPERTIES

    @property
    def payload(self) -> bytes:
        """The message itself; each look makes a copy."""
        return self.raw[self.payload_at :]

    @property
    def dup(self) -> bool:
        """Whether the sender says that it may have sent this before [MQTT-3.3.1-1]."""
        return bool(self.raw[0] & 0x08)


@dataclass(frozen=True, slots=True)
class Puback:
    """The receiver of a QoS 1 message has it (section 3.4)."""

    packet_id: int
    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrec:
    """The receiver of a QoS 2 message has it: step one of three (section 3.5)."""

    packet_id: int
    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubrel:
    """The sender of a QoS 2 message forgets it: step two of three (section 3.6)."""

    packet_id: int
    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """The receiver of a QoS 2 message has passed it on: step three of three (section 3.7)."""

    packet_id: int
    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of a SUBSCRIBE: a topic filter and the highest QoS that is wanted; the rest is of 5.0 (section 3.8.3.1).

    `retain_handling`: retained messages are sent at every SUBSCRIBE (0), only at one that is new (1), or not (2).
    """

    topic_filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client asks for messages (section 3.8); at least one subscription [MQTT-3.8.3-3]."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Suback:
    """The answer to a SUBSCRIBE (section 3.9): one code for each filter, in order [MQTT-3.9.3-1].

    A code is the QoS granted (0, 1, 2) or `SUBSCRIPTION_REFUSED`; in 5.0 any `ReasonCode` that a SUBACK can carry.
    """

    packet_id: int
    codes: tuple[int, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client wants no more of these (section 3.10); at least one filter [MQTT-3.10.3-2]."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Unsuback:
    """The answer to an UNSUBSCRIBE (section 3.11): in 5.0 one code for each filter, in 3.1.1 none."""

    packet_id: int
    codes: tuple[int, ...] = ()
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Pingreq:
    """A client asks whether anyone is there (section 3.12)."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """Someone is (section 3.13)."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client takes its leave; its will is forgotten, unless 5.0's `reason` is another than 0 (section 3.14).

    In 5.0 a server says so too, and why.
    """

    reason: ReasonCode = ReasonCode.NORMAL_DISCONNECTION
    properties: Properties = NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Auth:
    """A step of an enhanced authentication, of 5.0 only (section 3.15)."""

    reason: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
