"""A stream of bytes into packets: any split of the input gives the same ones. Knows no transport and no meaning.

Order, first byte and length are checked as soon as the header is there, so that nothing illegal is waited for; a
packet over the bound is refused before it is stored. What is kept of an unfinished packet is bounded by that bound.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final, NamedTuple

from troth.errors import Kind, PeerFault
from troth.limits import MQTT_TOPIC_KNOWN_BYTES_MAX, MQTT_TOPICS_KNOWN_MAX
from troth.protocols.mqtt.body import PARSERS, parse_text
from troth.protocols.mqtt.header import FIRST_BYTES, LENGTHS, PUBLISH_FLAGS, parse_length
from troth.protocols.mqtt.order import TRANSITIONS, Role, State
from troth.protocols.mqtt.packets import Packet, PacketType, Publish
from troth.protocols.mqtt.topics import topic_problem

_OPEN: Final = State.OPEN
# First byte, remaining length and length of the topic, of a PUBLISH whose remaining length takes one byte.
_START: Final = Struct(">BBH")
_unpack: Final = _START.unpack_from
_new: Final = tuple.__new__  # Publish(...) is a Python function around this and would double its cost


class _Entry(NamedTuple):
    """What there is to know of a packet from its first byte, where it may come."""

    packet_type: PacketType
    state: State
    shortest: int
    longest: int
    parse: Callable[[bytes], Packet]


_Entries = tuple[_Entry | None, ...]


def _entries(after: Mapping[PacketType, State]) -> _Entries:
    def entry(first: int) -> _Entry | None:
        packet_type = FIRST_BYTES.get(first)
        if packet_type is None or packet_type not in after:
            return None
        return _Entry(packet_type, after[packet_type], *LENGTHS[packet_type], PARSERS[packet_type])

    return tuple(map(entry, range(256)))


_ENTRIES: Final[Mapping[Role, Mapping[State, _Entries]]] = MappingProxyType(
    {role: {state: _entries(after) for state, after in states.items()} for role, states in TRANSITIONS.items()}
)


class StreamFault(PeerFault):
    """Bytes that are no packet, or not one that may come now: the connection must be closed [MQTT-4.8.0-1].

    `before` are the packets that came whole in the same bytes, before the fault; who wants each split of the input to
    have the same effect serves them first.
    """

    def __init__(self, fault: PeerFault, before: tuple[Packet, ...] = ()) -> None:
        super().__init__(fault.kind, fault.message, detail=fault.detail, hint=fault.hint)
        self.before = before


class Reader:
    """One direction of one connection.

    `packet_bytes_max` bounds a packet, header included; `role` is what we are, and with it what the other side may
    send. Keeps at most one unfinished packet, and the few topics that its sender uses most lately.
    """

    __slots__ = ("_buffer", "_bytes_max", "_entries", "_fault", "_role", "_short_max", "_state", "_topics", "_wanted")

    def __init__(self, packet_bytes_max: int, role: Role) -> None:
        self._bytes_max = packet_bytes_max
        # The longest remaining length that takes one byte and is within the bound.
        self._short_max = min(0x7F, packet_bytes_max - 2)
        self._role = role
        self._state = State.OPENING
        self._entries = _ENTRIES[role][State.OPENING]
        self._buffer = bytearray()
        self._wanted = 0
        self._topics: dict[bytes, str] = {}
        self._fault: StreamFault | None = None

    @property
    def state(self) -> State:
        """How far the other side's half of the conversation has come."""
        return self._state

    def feed(self, data: bytes) -> list[Packet]:
        """Take what has come and return the packets that are now whole, in order.

        Raises `StreamFault`, at once and at every later call: malformed and too large close the connection;
        unsupported and rejected can only come of a CONNECT and are answered first (`reasons.connack_code`).
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
            if self._state is _OPEN:
                at = self._read_publishes(data, at, packets)
            if at == end:
                return at
            entry = self._entries[data[at]]
            if entry is None:
                raise self._refusal(data[at])
            packet_type, state, shortest, longest, parse = entry
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
            packets.append(parse(data[body:stop]))
            self._enter(state)
            at = stop

    def _read_publishes(self, data: bytes, at: int, packets: list[Packet]) -> int:
        """Append PUBLISH packets as long as one follows the other whole; return where the first other thing begins.

        The one hot loop of the gateway, so it is flat and asks each question once. What it cannot take, for whatever
        reason, it leaves to `_read`, which finds the words for it.
        """
        end = len(data)
        last = end - _START.size
        length_max = self._short_max
        find = self._topics.get
        append = packets.append
        while at <= last:
            first, length, name_bytes = _unpack(data, at)
            flags = PUBLISH_FLAGS[first]
            if flags is None:
                break
            if length <= length_max:
                name = at + 4
                stop = at + 2 + length
            else:
                place = self._find_name(data, at)
                if place is None:
                    break
                name, name_bytes, stop = place
            payload = name + name_bytes
            if stop > end or payload > stop:
                break
            topic = find(data[name:payload])
            if topic is None:
                topic = self._learn(data[name:payload])
            qos, retain = flags
            if qos:
                payload += 2
                if payload > stop:
                    break
                packet_id = data[payload - 2] << 8 | data[payload - 1]
                if not packet_id:
                    break
            else:
                packet_id = 0
            append(_new(Publish, (data[at:stop], topic, qos, retain, packet_id, payload - at)))
            at = stop
        return at

    def _find_name(self, data: bytes, at: int) -> tuple[int, int, int] | None:
        """Find where the topic of a longer PUBLISH begins, its length, and where the packet ends, if it may and has."""
        header = parse_length(data, at + 1)
        if header is None:
            return None
        length, body = header
        stop = body + length
        if length < 2 or stop > len(data) or stop - at > self._bytes_max:
            return None
        return body + 2, data[body] << 8 | data[body + 1], stop

    def _learn(self, name: bytes) -> str:
        """Decode and check a topic name once, as long as the sender keeps to a few."""
        topic = parse_text(name)
        problem = topic_problem(topic)
        if problem is not None:
            raise PeerFault(Kind.MALFORMED, problem)  # [MQTT-3.3.2-2]
        if len(name) <= MQTT_TOPIC_KNOWN_BYTES_MAX:
            if len(self._topics) >= MQTT_TOPICS_KNOWN_MAX:
                self._topics.clear()
            self._topics[name] = topic
        return topic

    def _enter(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._entries = _ENTRIES[self._role][state]

    def _refusal(self, first: int) -> PeerFault:
        packet_type = FIRST_BYTES.get(first)
        if packet_type is None:
            return PeerFault(Kind.MALFORMED, f"no packet begins with the byte 0x{first:02x}")
        return PeerFault(
            Kind.MALFORMED,
            f"{packet_type.name} may not come to a {self._role} while the conversation is {self._state}",
        )
