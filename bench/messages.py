"""The load `messages`: one device sends, one service receives, QoS 0, 64 bytes of payload.

A window of messages is written, each write a TLS record of one message or of several; then the whole window is awaited
and every byte of it compared, before the next is written.
"""

import itertools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.client import connect, connect_packet, leave, subscribe, tls_context
from bench.peers.peer import Peer
from bench.sample import Meter, Sample, Tally
from bench.site import Site, topic_of
from troth.protocols.mqtt import build_publish, render

PAYLOAD_BYTES: Final = 64
_READ_BYTES: Final = 65_536
_WINDOWS: Final = 16
"""Different windows, sent in turn: a message that comes late or twice is not taken for another."""
_WARM_ROUNDS: Final = 50
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Pace:
    """How messages are sent: so many in a write, and so many writes until all of them must have come."""

    per_write: int
    writes: int

    @property
    def window(self) -> int:
        """Messages that are on their way at once, at most."""
        return self.per_write * self.writes


_WARM_PACE: Final = Pace(per_write=1, writes=20)


@dataclass(frozen=True, slots=True)
class _Window:
    writes: tuple[bytes, ...]
    whole: bytes
    """What must arrive: a QoS 0 message goes out as it came in."""
    messages: tuple[bytes, ...]


def measure_messages(site: Site, peer: Peer, count: int, pace: Pace) -> Sample:
    """Send `count` messages, rounded down to whole windows. Raises `OSError`, `Unexpected` before the first of them."""
    device, service = site.devices[0], site.service
    run = next(_numbers)
    topic = topic_of(device.name)
    rounds = count // pace.window
    windows = [_window(topic, number, pace) for number in range(min(_WINDOWS, rounds))]
    meter = Meter(peer, rounds * pace.window)
    with (
        connect(peer.port, tls_context(site, service), connect_packet(f"{service.name}-m{run}")) as receiver,
        connect(peer.port, tls_context(site, device), connect_packet(f"{device.name}-m{run}")) as sender,
    ):
        subscribe(receiver, topic)
        # The first messages of a topic are decided and looked up: not what is measured here.
        warm = Tally()
        _send(sender, receiver, [_window(topic, _WINDOWS, _WARM_PACE)], _WARM_ROUNDS, warm)
        with meter.running() as tally:
            if not warm.errors:
                _send(sender, receiver, windows, rounds, tally)
        tally.errors += warm.errors
        if not tally.errors:
            leave(sender)
            leave(receiver)
    return meter.sample()


def _window(topic: str, number: int, pace: Pace) -> _Window:
    """Encode a window whose messages are like those of no other."""
    messages = [
        render(build_publish(topic, f"{number:04} {place:04} ".encode().ljust(PAYLOAD_BYTES, b".")))
        for place in range(pace.window)
    ]
    writes = tuple(b"".join(messages[at : at + pace.per_write]) for at in range(0, pace.window, pace.per_write))
    return _Window(writes, b"".join(messages), tuple(messages))


def _send(
    sender: ssl.SSLSocket, receiver: ssl.SSLSocket, windows: Sequence[_Window], rounds: int, tally: Tally
) -> None:
    """Send so many windows; count the messages that came whole and in order, up to the first that did not."""
    for number in range(rounds):
        window = windows[number % len(windows)]
        came = bytearray()
        problem = None
        try:
            for write in window.writes:
                sender.sendall(write)
            while problem is None and len(came) < len(window.whole):
                more = receiver.recv(_READ_BYTES)
                if not more:
                    problem = "the connection was closed"
                elif not window.whole.startswith(more, len(came)):
                    problem = "something else came than was sent"
                came += more
        except OSError as error:
            problem = str(error)
        if problem is not None:
            tally.done += _whole(came, window.messages)
            tally.errors.append(problem)
            return
        tally.done += len(window.messages)


def _whole(came: bytearray, messages: Sequence[bytes]) -> int:
    """Return how many messages `came` begins with."""
    at = 0
    for number, message in enumerate(messages):
        if came[at : at + len(message)] != message:
            return number
        at += len(message)
    return len(messages)
