"""The data types that packets are made of, read strictly (section 1.5 of either standard). Knows no packet."""

from collections.abc import Callable
from typing import Final, TypeVar

from troth.errors import Kind, PeerFault
from troth.protocols.mqtt.faults import PacketFault, breach
from troth.protocols.mqtt.header import parse_length
from troth.protocols.mqtt.reason_codes import ReasonCode
from troth.protocols.mqtt.topics import filter_problem, topic_problem

_T = TypeVar("_T")
_ENDS: Final = "a packet ends inside one of its fields"


def parse_text(raw: bytes) -> str:
    """Decode a text: well-formed UTF-8 [MQTT-1.5.3-1] without U+0000 [MQTT-1.5.3-2], else `PeerFault` (malformed).

    Python's decoder refuses surrogates and overlong forms, and keeps a U+FEFF [MQTT-1.5.3-3].
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise PeerFault(Kind.MALFORMED, "a text is not well-formed UTF-8") from None
    if "\0" in text:
        raise PeerFault(Kind.MALFORMED, "a text has U+0000 in it")
    return text


class Fields:
    """A place in bytes, moving on as fields are taken. Raises `PeerFault` (malformed) where they end too soon."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        """Take `count` bytes."""
        start = self._at
        self._at = stop = start + count
        if stop > len(self._body):
            raise PeerFault(Kind.MALFORMED, _ENDS)
        return self._body[start:stop]

    def octet(self) -> int:
        """Take one byte, where `more` has told that there is one."""
        self._at += 1
        return self._body[self._at - 1]

    def number(self, size: int) -> int:
        """Take a number of `size` bytes."""
        return int.from_bytes(self.octets(size))

    def length(self) -> int:
        """Take a number in as few bytes as it needs (section 1.5.5 of 5.0)."""
        header = parse_length(self._body, self._at)
        if header is None:
            raise PeerFault(Kind.MALFORMED, _ENDS)
        value, self._at = header
        return value

    def binary(self) -> bytes:
        """Take bytes with their number before them."""
        body, start = self._body, self._at + 2
        if start > len(body):
            raise PeerFault(Kind.MALFORMED, _ENDS)
        self._at = stop = start + (body[start - 2] << 8 | body[start - 1])
        if stop > len(body):
            raise PeerFault(Kind.MALFORMED, _ENDS)
        return body[start:stop]

    def text(self) -> str:
        """Take a text."""
        return parse_text(self.binary())

    def topic(self) -> str:
        """Take a topic name."""
        return _proven(self.text(), topic_problem)

    def topic_filter(self) -> str:
        """Take a topic filter."""
        return _proven(self.text(), filter_problem)

    def packet_id(self) -> int:
        """Take a packet identifier, which is not 0 [MQTT-2.3.1-1]."""
        value = self.number(2)
        if value == 0:
            raise breach("a packet identifier is 0")
        return value

    def more(self) -> bool:
        """Tell whether something is left."""
        return self._at < len(self._body)

    def each(self, take: Callable[[], _T], count_max: int, what: str) -> tuple[_T, ...]:
        """Take all that is left, of which there are `count_max` at most, else `PeerFault` (too large)."""
        taken: list[_T] = []
        while self.more():
            if len(taken) == count_max:
                raise PacketFault(
                    ReasonCode.QUOTA_EXCEEDED, f"a packet has more than {count_max} {what}", kind=Kind.TOO_LARGE
                )
            taken.append(take())
        return tuple(taken)

    def finish(self) -> None:
        """Insist that nothing is left."""
        if self.more():
            raise PeerFault(Kind.MALFORMED, "a packet goes on behind its last field")


def _proven(text: str, problem: Callable[[str], str | None]) -> str:
    words = problem(text)
    if words is not None:
        raise PeerFault(Kind.MALFORMED, words)
    return text
