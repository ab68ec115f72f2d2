"""The fourteen control packets of MQTT 3.1.1 as values. Knows nothing of bytes but what `Publish` carries.

Source: OASIS MQTT 3.1.1, chapter 3. Clauses are cited as the standard numbers them, for instance [MQTT-2.3.1-1].
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple


class PacketType(IntEnum):
    """What a packet is: the high four bits of its first byte (table 2.1)."""

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


class ConnackCode(IntEnum):
    """The answer to a CONNECT (table 3.1)."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL_VERSION = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORIZED = 5


SUBSCRIPTION_REFUSED = 0x80
"""The code in a SUBACK that says no to one filter; 0, 1 and 2 grant that QoS [MQTT-3.9.3-2]."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the server publishes for a client that goes without a DISCONNECT (section 3.1.2.5)."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """A client opens the conversation (section 3.1). `keep_alive_s` is in seconds, 0 to 65,535; 0 turns it off."""

    client_id: str
    clean_session: bool = True
    keep_alive_s: int = 0
    will: Will | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Connack:
    """The server's answer to a CONNECT (section 3.2)."""

    code: ConnackCode
    session_present: bool = False


class Publish(NamedTuple):
    """A message, either way (section 3.3). Made by `Reader` and by `writer.build_publish`, never by hand.

    `raw` is the whole packet as it came, so that a gateway passes it on as it is; the other fields are what was read
    in it. `packet_id` is 0 when `qos` is 0, and only then. `payload_at` is where in `raw` the payload begins.

    A named tuple and no dataclass, because it is made once for every message: in 0.2 microseconds where a frozen
    dataclass takes a whole one.
    """

    raw: bytes
    topic: str
    qos: int
    retain: bool
    packet_id: int
    payload_at: int

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


@dataclass(frozen=True, slots=True)
class Pubrec:
    """The receiver of a QoS 2 message has it: step one of three (section 3.5)."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubrel:
    """The sender of a QoS 2 message forgets it: step two of three (section 3.6)."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pubcomp:
    """The receiver of a QoS 2 message has passed it on: step three of three (section 3.7)."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """One line of a SUBSCRIBE: a topic filter and the highest QoS that is wanted."""

    topic_filter: str
    qos: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A client asks for messages (section 3.8); at least one subscription [MQTT-3.8.3-3]."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]


@dataclass(frozen=True, slots=True)
class Suback:
    """The answer to a SUBSCRIBE (section 3.9): one code for each filter, in order [MQTT-3.9.3-1].

    A code is the QoS granted (0, 1, 2) or `SUBSCRIPTION_REFUSED`.
    """

    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """A client wants no more of these (section 3.10); at least one filter [MQTT-3.10.3-2]."""

    packet_id: int
    topic_filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsuback:
    """The answer to an UNSUBSCRIBE (section 3.11)."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingreq:
    """A client asks whether anyone is there (section 3.12)."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """Someone is (section 3.13)."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A client takes its leave; its will is forgotten (section 3.14)."""


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
)
