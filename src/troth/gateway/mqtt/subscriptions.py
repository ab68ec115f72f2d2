"""Subscriptions of one connection: a SUBSCRIBE is decided filter by filter, and answered by one SUBACK in order.

What is allowed goes to the broker under the client's own packet identifier; its codes come back and take their places
between our refusals. [MQTT-3.8.4-5], [MQTT-3.9.3-1].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from troth.errors import Kind, PeerFault
from troth.protocols.mqtt import SUBSCRIPTION_REFUSED, Suback, Subscribe, Subscription, Unsubscribe


@dataclass(frozen=True, slots=True)
class Split:
    """What becomes of a SUBSCRIBE."""

    forward: Subscribe | None
    """What the broker is asked; None when nothing is left to ask."""
    answer: Suback | None
    """What the client is told at once; None when the broker is asked first."""


class Subscriptions:
    """The filters that a connection holds and its SUBSCRIBEs that wait for the broker, at most `held_max` of either."""

    __slots__ = ("_held", "_held_max", "_take_here", "_tell", "_waiting")

    def __init__(
        self,
        held_max: int,
        take_here: Callable[[str], int | None] = lambda _: None,
        tell: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        """`take_here` returns the code for a filter that the gateway itself serves, None for any other.

        `tell` is told of filters that have been granted.
        """
        self._held_max = held_max
        self._tell = tell
        self._take_here = take_here
        self._held: set[str] = set()
        self._waiting: dict[int, tuple[tuple[str, ...], list[int | None]]] = {}

    def split(
        self, packet: Subscribe, objection: Callable[[int, str], object | None], full: Callable[[str], None]
    ) -> Split:
        """Divide a SUBSCRIBE between the broker and ourselves.

        `objection` is asked for each filter, with its place, whether anything speaks against it; `full` is told of
        those for which there is no room. Raises `PeerFault` for a packet identifier that is in use [MQTT-2.3.1-2].
        """
        if packet.packet_id in self._waiting:
            raise PeerFault(Kind.MALFORMED, "a packet identifier is used again before it was answered")
        codes: list[int | None] = []
        forwarded: list[Subscription] = []
        granted: list[str] = []
        for place, wanted in enumerate(packet.subscriptions):
            code: int | None = SUBSCRIPTION_REFUSED
            if objection(place, wanted.topic_filter) is None:
                code = self._take_here(wanted.topic_filter)
                if code is None and self._take(wanted.topic_filter):
                    forwarded.append(wanted)
                elif code is not None and code != SUBSCRIPTION_REFUSED:
                    granted.append(wanted.topic_filter)
                elif code is None:
                    code = SUBSCRIPTION_REFUSED
                    full(wanted.topic_filter)
            codes.append(code)
        self._tell(granted)
        if not forwarded:
            return Split(None, Suback(packet.packet_id, tuple(code for code in codes if code is not None)))
        self._waiting[packet.packet_id] = (tuple(each.topic_filter for each in forwarded), codes)
        return Split(Subscribe(packet.packet_id, tuple(forwarded)), None)

    def merge(self, answer: Suback) -> Suback:
        """Return the SUBACK for the client, made of the broker's. Raises `PeerFault` when nobody asked for it so."""
        asked, codes = self._waiting.pop(answer.packet_id, ((), []))
        if len(asked) != len(answer.codes):
            raise PeerFault(Kind.MALFORMED, "the broker answers a SUBSCRIBE that it was not sent")
        for topic_filter, code in zip(asked, answer.codes, strict=True):
            if code == SUBSCRIPTION_REFUSED:
                self._held.discard(topic_filter)
        granted = zip(asked, answer.codes, strict=True)
        self._tell([topic_filter for topic_filter, code in granted if code != SUBSCRIPTION_REFUSED])
        theirs = iter(answer.codes)
        return Suback(answer.packet_id, tuple(next(theirs) if code is None else code for code in codes))

    def drop(self, packet: Unsubscribe, is_known: Callable[[str], bool]) -> Unsubscribe | None:
        """Let filters go; return what the broker is told: those it can have been sent. None when there are none."""
        self._held.difference_update(packet.topic_filters)
        kept = tuple(each for each in packet.topic_filters if is_known(each))
        return Unsubscribe(packet.packet_id, kept) if kept else None

    def _take(self, topic_filter: str) -> bool:
        if len(self._waiting) >= self._held_max:
            return False
        if topic_filter not in self._held:
            if len(self._held) >= self._held_max:
                return False
            self._held.add(topic_filter)
        return True
