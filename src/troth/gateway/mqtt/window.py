"""How many messages of QoS 1 and 2 are under way to a device at once: no more than it said (MQTT 5.0, section 4.9)."""

from collections import deque


class Window:
    """Holds back what is over `most`, in order. `out` is where the rest goes, as bytes."""

    __slots__ = ("_most", "_out", "_under_way", "_waiting", "waiting_bytes")

    def __init__(self, most: int, out: list[bytes]) -> None:
        self._most = most
        self._out = out
        self._under_way: set[int] = set()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self.waiting_bytes = 0
        """Bytes that are held back."""

    def put(self, packet_id: int, raw: bytes) -> None:
        """Send a message, now or when there is room."""
        # One that is sent again is under way already.
        if not self._waiting and (len(self._under_way) < self._most or packet_id in self._under_way):
            self._under_way.add(packet_id)
            self._out.append(raw)
        else:
            self._waiting.append((packet_id, raw))
            self.waiting_bytes += len(raw)

    def release(self, packet_id: int) -> None:
        """A message is acknowledged for good, or refused."""
        self._under_way.discard(packet_id)
        while self._waiting and len(self._under_way) < self._most:
            next_id, raw = self._waiting.popleft()
            self.waiting_bytes -= len(raw)
            self._under_way.add(next_id)
            self._out.append(raw)
