"""The row of sequence numbers of one certificate: which came, so that none counts twice. Pure.

Remembers the highest number, which of the `READING_WINDOW` below it came, and what the last few readings were, so that
one whose acknowledgement was lost can be sent again.
"""

from typing import Final

from troth.errors import Kind, PeerFault
from troth.evidence.outcome import Outcome
from troth.limits import READING_REPEATS, READING_SEQUENCE_MAX, READING_WINDOW

_TAIL_BYTES: Final = 8
_REPEAT_BYTES: Final = 8 + _TAIL_BYTES
_SEEN_BYTES: Final = READING_WINDOW // 8
_ALL: Final = (1 << READING_WINDOW) - 1


class Window:
    """What came of one certificate; `highest` is 0 while nothing did."""

    __slots__ = ("_repeats", "_seen", "highest", "missing")

    def __init__(self) -> None:
        self.highest = 0
        self.missing = 0
        """How many numbers were left out before the one that came last."""
        # Bit n: the number `highest - n` came.
        self._seen = 0
        self._repeats: dict[int, bytes] = {}

    def take(self, sequence: int, data: bytes, *, again: bool = False) -> Outcome:
        """Say what a reading that is otherwise good is by its number, and remember that it came.

        `again` says that whoever sent it says it may have been sent before (MQTT: DUP): the very same bytes are then
        let through once more, for the first time may have been lost on its way.
        """
        self.missing = 0
        behind = self.highest - sequence
        if behind < 0:
            return self._advance(sequence, data)
        if again and self._repeats.get(sequence) == _tail(data):
            return Outcome.REPEATED
        # Who is further behind cannot be told from who came.
        if behind >= READING_WINDOW or self._seen >> behind & 1:
            return Outcome.REPLAYED
        self._seen |= 1 << behind
        return Outcome.REORDERED

    def _advance(self, sequence: int, data: bytes) -> Outcome:
        ahead = sequence - self.highest
        # Where a row begins is its device's business.
        self.missing = ahead - 1 if self.highest else 0
        self._seen = (self._seen << ahead if ahead < READING_WINDOW else 0) & _ALL | 1
        self.highest = sequence
        self._repeats[sequence] = _tail(data)
        if len(self._repeats) > READING_REPEATS:
            del self._repeats[next(iter(self._repeats))]
        return Outcome.MISSING if self.missing else Outcome.VERIFIED

    def merge(self, other: "Window") -> None:
        """Take in what another has seen of the same certificate."""
        low, high = sorted((self, other), key=lambda each: each.highest)
        behind = high.highest - low.highest
        self._seen = (high._seen | (low._seen << behind if behind < READING_WINDOW else 0)) & _ALL
        self.highest = high.highest
        repeats = sorted({**low._repeats, **high._repeats}.items())[-READING_REPEATS:]
        self._repeats = dict(repeats)

    def render(self) -> bytes:
        """Return it as bytes; `parse_window` reads them."""
        repeats = (number.to_bytes(8) + tail for number, tail in self._repeats.items())
        return self.highest.to_bytes(8) + self._seen.to_bytes(_SEEN_BYTES) + b"".join(repeats)


def parse_window(data: bytes) -> Window:
    """Return the window that `Window.render` made this of. Raises `PeerFault` (malformed)."""
    begin = 8 + _SEEN_BYTES
    if len(data) < begin or (len(data) - begin) % _REPEAT_BYTES or len(data) > begin + READING_REPEATS * _REPEAT_BYTES:
        raise PeerFault(Kind.MALFORMED, "these bytes are no window of sequence numbers")
    window = Window()
    window.highest = int.from_bytes(data[:8])
    window._seen = int.from_bytes(data[8:begin])
    repeats = (data[at : at + _REPEAT_BYTES] for at in range(begin, len(data), _REPEAT_BYTES))
    window._repeats = {int.from_bytes(each[:8]): each[8:] for each in repeats}
    if window.highest > READING_SEQUENCE_MAX or any(number > window.highest for number in window._repeats):
        raise PeerFault(Kind.MALFORMED, "these bytes are no window of sequence numbers")
    return window


def _tail(data: bytes) -> bytes:
    """Return the end of a reading's signature, by which it is known: nobody else can make another with that end."""
    return data[-_TAIL_BYTES:].rjust(_TAIL_BYTES, b"\x00")
