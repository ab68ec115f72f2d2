"""A stream of bytes into packets: any split of the input gives the same ones. Knows no transport and no meaning.

Order, first byte and length are checked as soon as the header is there, so that nothing illegal is waited for; a
packet over the bound is refused before it is stored. What is kept of an unfinished packet is bounded by that bound.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from troth.errors import Bug, Kind, PeerFault
from troth.protocols.mqtt.body import PARSERS
from troth.protocols.mqtt.body5 import PARSERS5
from troth.protocols.mqtt.faults import PacketFault, StreamFault, breach
from troth.protocols.mqtt.header import FIRST_BYTES, LENGTHS, PUBLISH_FLAGS, parse_length
from troth.protocols.mqtt.order import TRANSITIONS, Role, State
from troth.protocols.mqtt.packet_types import PacketType, Version
from troth.protocols.mqtt.packets import Auth, Connect, Disconnect, Packet
from troth.protocols.mqtt.property_table import Place
from troth.protocols.mqtt.publishes import Publishes, Publishes3, Publishes5, name_broken_publish
from troth.protocols.mqtt.reason_codes import ReasonCode

_OPEN: Final = State.OPEN
_PUBLISH: Final = int(PacketType.PUBLISH)
_PLACES: Final = MappingProxyType({Role.SERVER: Place.TO_SERVER, Role.CLIENT: Place.TO_CLIENT})
# A CONNECT of either version begins with these bytes and its level.
_CONNECT_NAME: Final = b"\x00\x04MQTT"
# What is legal or not by what CONNECT said.
_BOUND_TO_CONNECT: Final = frozenset({PacketType.DISCONNECT, PacketType.AUTH})
_BRIDGE: Final = 0x80
"""Set in the level by brokers that bridge to another (Mosquitto): no version that is offered."""


class _Entry(NamedTuple):
    """What there is to know of a packet from its first byte, where it may come."""

    packet_type: PacketType
    state: State
    shortest: int
    longest: int
    parse: Callable[[bytes], Packet]


_Entries = tuple[_Entry | None, ...]


def _parser(version: Version, role: Role, packet_type: PacketType, first: int) -> Callable[[bytes], Packet]:
    if packet_type is not PacketType.PUBLISH:
        return (PARSERS if version is Version.MQTT_3_1_1 else PARSERS5[role])[packet_type]
    flags = PUBLISH_FLAGS[first]
    assert flags is not None, "it begins a PUBLISH"
    place = None if version is Version.MQTT_3_1_1 else _PLACES[role]

    def broken(body: bytes) -> Packet:
        name_broken_publish(body, flags[0], place)
        raise Bug("a PUBLISH was refused that is well formed")

    return broken


def _entries(version: Version, role: Role, after: Mapping[PacketType, State]) -> _Entries:
    def entry(first: int) -> _Entry | None:
        packet_type = FIRST_BYTES[version].get(first)
        if packet_type is None or packet_type not in after:
            return None
        parse = _parser(version, role, packet_type, first)
        return _Entry(packet_type, after[packet_type], *LENGTHS[version][packet_type], parse)

    return tuple(map(entry, range(256)))


_ENTRIES: Final[Mapping[tuple[Version, Role, State], _Entries]] = MappingProxyType(
    {
        (version, role, state): _entries(version, role, after)
        for version, roles in TRANSITIONS.items()
        for role, states in roles.items()
        for state, after in states.items()
    }
)


class Reader:
    """One direction of one connection.

    `packet_bytes_max` bounds a packet, header included; `role` is what we are, and with it what the other side may
    send. `version` is what is spoken; for a server None is whichever of both the CONNECT says. `alias_max` is the topic
    alias maximum that we tell the other side. Keeps at most one unfinished packet, the few topics and properties that
    its sender uses most lately, and as many aliased topics as we said, each of `MQTT_TOPIC_ALIASED_BYTES_MAX`.
    """

    __slots__ = (
        "_alias_max",
        "_buffer",
        "_bytes_max",
        "_entries",
        "_fault",
        "_method",
        "_offered",
        "_publishes",
        "_role",
        "_session_expires",
        "_state",
        "_version",
        "_wanted",
    )

    def __init__(
        self,
        packet_bytes_max: int,
        role: Role,
        version: Version | None = Version.MQTT_3_1_1,
        *,
        alias_max: int = 0,
    ) -> None:
        self._bytes_max = packet_bytes_max
        self._alias_max = alias_max
        self._role = role
        self._offered = version
        self._version: Version | None = None
        self._publishes: Publishes = Publishes3(packet_bytes_max)
        self._state = State.OPENING
        self._entries = _ENTRIES[version or Version.MQTT_3_1_1, role, State.OPENING]
        self._buffer = bytearray()
        self._wanted = 0
        self._fault: StreamFault | None = None
        self._session_expires = False
        self._method: str | None = None
        if role is Role.CLIENT:
            if version is None:
                raise Bug("a client knows which version it speaks")
            self._speak(version)

    @property
    def state(self) -> State:
        """How far the other side's half of the conversation has come."""
        return self._state

    @property
    def version(self) -> Version | None:
        """What is spoken, and with it what the other side is answered in. None before a server knows.

        It is known as soon as a CONNECT has come, also one with a fault behind its protocol level.
        """
        return self._version

    @property
    def pending_bytes(self) -> int:
        """Bytes kept of an unfinished packet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """Take what has come and return the packets that are now whole, in order.

        Raises `StreamFault`, at once and at every later call. Its kinds: malformed and too large close the connection;
        unsupported and rejected can only come of a CONNECT and are answered first (`reasons.connack_code`). In 5.0 all
        are answered first, once `version` is known, with the fault's `reason`.
        """
        if self._fault is not None:
            raise self._fault
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._wanted:
                return []
            data = bytes(buffer)
            buffer.clear()
        packets: list[Packet] = []
        try:
            done = self._read(data, packets)
        except PeerFault as fault:
            self._fault = StreamFault(fault)
            raise StreamFault(fault, tuple(packets)) from None
        if done < len(data):
            buffer += data[done:]
        return packets

    def _read(self, data: bytes, packets: list[Packet]) -> int:
        """Append every whole packet of `data`; return where the unfinished one begins, and know how long it must be."""
        at, end = 0, len(data)
        while True:
            if at < end and data[at] >> 4 == _PUBLISH and self._state is _OPEN:
                at = self._publishes.read(data, at, packets)
            if at == end:
                return at
            entry = self._entries[data[at]]
            if entry is None:
                raise self._refusal(data[at])
            packet_type, state, shortest, longest, parse = entry
            if at + 1 < end and data[at + 1] < 0x80:  # most lengths are short
                length, body = data[at + 1], at + 2
            else:
                header = parse_length(data, at + 1)
                if header is None:
                    self._wanted = end - at + 1
                    return at
                length, body = header
            stop = body + length
            if not shortest <= length <= longest:
                raise PeerFault(Kind.MALFORMED, f"{packet_type.name} cannot have a length of {length}")
            if stop - at > self._bytes_max:
                raise PeerFault(Kind.TOO_LARGE, f"a packet of {stop - at} bytes is over the bound of {self._bytes_max}")
            if stop > end:
                self._wanted = stop - at
                return at
            if self._version is None:
                self._choose(data[body:stop])
                # The other version's parser may be the one to ask, and its least length.
                continue
            packet = parse(data[body:stop])
            if state is not self._state or packet_type in _BOUND_TO_CONNECT:
                self._take(packet, state)
            packets.append(packet)
            at = stop

    def _choose(self, body: bytes) -> None:
        """Find out from a CONNECT which version is spoken: what we offer, or what it says if that is either."""
        level = body[len(_CONNECT_NAME)] if body.startswith(_CONNECT_NAME) else 0
        spoken = Version.MQTT_5 if level & ~_BRIDGE >= Version.MQTT_5 else Version.MQTT_3_1_1
        self._speak(self._offered or spoken)

    def _speak(self, version: Version) -> None:
        self._version = version
        self._entries = _ENTRIES[version, self._role, self._state]
        if version is Version.MQTT_5:
            self._publishes = Publishes5(self._bytes_max, _PLACES[self._role], self._alias_max)

    def _take(self, packet: Packet, state: State) -> None:
        """Go on to `state`, if what came before allows `packet`."""
        if isinstance(packet, Connect):
            self._session_expires = not packet.properties.session_expiry_s
            self._method = packet.properties.authentication_method
        elif isinstance(packet, Disconnect) and self._session_expires and packet.properties.session_expiry_s:
            raise breach("DISCONNECT keeps a session that CONNECT did not")  # section 3.14.2.2.2
        elif isinstance(packet, Auth) and packet.properties.authentication_method != self._method:
            # Also where CONNECT named none [MQTT-4.12.0-6, 4.12.0-5].
            raise PacketFault(ReasonCode.PROTOCOL_ERROR, "AUTH is of another method than CONNECT")
        if state is not self._state:
            assert self._version is not None, "a conversation has a version once it moves on"
            self._state = state
            self._entries = _ENTRIES[self._version, self._role, state]

    def _refusal(self, first: int) -> PeerFault:
        packet_type = FIRST_BYTES[self._version or self._offered or Version.MQTT_3_1_1].get(first)
        if packet_type is None:
            return PeerFault(Kind.MALFORMED, f"no packet begins with the byte 0x{first:02x}")
        return breach(f"{packet_type.name} may not come to a {self._role} while the conversation is {self._state}")
