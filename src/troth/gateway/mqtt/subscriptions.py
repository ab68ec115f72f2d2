"""Subscriptions of one connection: a SUBSCRIBE is decided filter by filter, and answered by one SUBACK in order.

What is allowed goes to the broker under the client's own packet identifier; its codes come back and take their places
between our refusals. [MQTT-3.8.4-5], [MQTT-3.9.3-1]; what a client of MQTT 5 asks for beside a QoS is kept with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from troth.errors import Kind, PeerFault
from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    matches,
    split_share,
)

_PACKET_IDS: Final = 65_535


@dataclass(frozen=True, slots=True)
class Split:
    """What becomes of a SUBSCRIBE."""

    forward: Subscribe | None
    """What the broker is asked; None when nothing is left to ask."""
    answer: Suback | None
    """What the client is told at once; None when the broker is asked first."""


class Wish(NamedTuple):
    """What a client wants of one filter beside its messages, and the QoS that it got once the broker has said so."""

    no_local: bool = False
    without_retained: bool = False
    identifier: int = 0
    qos: int | None = None


_PLAIN: Final = Wish()


class Subscriptions:
    """The filters that a connection holds and its SUBSCRIBEs that wait for the broker, at most `held_max` of either."""

    __slots__ = (
        "_held",
        "_held_max",
        "_leaves_some",
        "_leaving",
        "_special",
        "_stale",
        "_take_here",
        "_tell",
        "_waiting",
        "_withdrawn",
    )

    def __init__(
        self,
        held_max: int,
        take_here: Callable[[str], int | None] = lambda _: None,
        tell: Callable[[Sequence[str]], None] = lambda _: None,
        leaves_some: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`take_here` returns the code for a filter that the gateway itself serves, None for any other.

        `tell` is told of filters that have been granted. `leaves_some` says of a filter whether the broker goes on
        with a part of it once it is given back.
        """
        self._held_max = held_max
        self._tell = tell
        self._take_here = take_here
        self._held: dict[str, Wish] = {}
        # Given back, and still held in part by the broker: they count, or a device could fill the broker with them.
        self._stale: dict[str, None] = {}
        self._leaves_some = leaves_some
        self._special = False
        self._waiting: dict[int, tuple[tuple[str, ...], list[int | None]]] = {}
        self._leaving: dict[int, tuple[int, ...]] = {}
        self._withdrawn: dict[int, None] = {}

    # SUBSCRIBE.

    def split(
        self,
        packet: Subscribe,
        objection: Callable[[int, Subscription], int | None],
        full: Callable[[str], int],
    ) -> Split:
        """Divide a SUBSCRIBE between the broker and ourselves.

        `objection` is asked for each filter, with its place, for the code that refuses it; `full` is told of those for
        which there is no room, and returns that code. Raises `PeerFault` for a packet identifier that is in use
        [MQTT-2.3.1-2].
        """
        if packet.packet_id in self._waiting:
            raise PeerFault(Kind.MALFORMED, "a packet identifier is used again before it was answered")
        identifier = packet.properties.subscription_ids[0] if packet.properties.subscription_ids else 0
        codes: list[int | None] = []
        forwarded: list[Subscription] = []
        granted: list[str] = []
        for place, wanted in enumerate(packet.subscriptions):
            code = objection(place, wanted)
            if code is None:
                code = self._take_here(wanted.topic_filter)
                if code is not None and code < SUBSCRIPTION_REFUSED:
                    granted.append(wanted.topic_filter)
            if code is None:
                code = self._take(wanted, identifier, full)
                if code is None:
                    forwarded.append(Subscription(wanted.topic_filter, wanted.qos))
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
        granted = []
        for topic_filter, code in zip(asked, answer.codes, strict=True):
            if code >= SUBSCRIPTION_REFUSED:
                self._held.pop(topic_filter, None)
                continue
            granted.append(topic_filter)
            wish = self._held.get(topic_filter)
            if wish is not None and wish is not _PLAIN:
                self._held[topic_filter] = wish._replace(qos=code)
        self._tell(granted)
        theirs = iter(answer.codes)
        return Suback(answer.packet_id, tuple(next(theirs) if code is None else code for code in codes))

    def _take(self, wanted: Subscription, identifier: int, full: Callable[[str], int]) -> int | None:
        """Hold a filter; return the code where the broker need not be asked."""
        topic_filter = wanted.topic_filter
        before = self._held.get(topic_filter)
        is_new = before is None and topic_filter not in self._stale
        if len(self._waiting) >= self._held_max or (is_new and len(self._held) + len(self._stale) >= self._held_max):
            return full(topic_filter)
        self._stale.pop(topic_filter, None)
        handling = wanted.retain_handling
        if not (wanted.no_local or handling or identifier or before):
            self._held[topic_filter] = _PLAIN
            return None
        # Retained messages come with every SUBSCRIBE that the broker sees. One that is to bring none where the filter
        # is held already need not be seen; a filter that was to bring some may have them still under way.
        without = handling == 2 if before is None else before.without_retained and handling > 0
        qos = None if before is None else before.qos
        self._held[topic_filter] = Wish(wanted.no_local, without, identifier, qos)
        self._special = True
        return qos if handling and qos == wanted.qos else None

    # What is held.

    def wishes(self, topic: str) -> tuple[Wish, ...]:
        """Return what is wished of messages on a topic, by each filter that is held and matches it.

        None at all where no filter ever wished for anything: most connections are asked for every message.
        """
        if not self._special:
            return ()
        return tuple(wish for each, wish in self._held.items() if matches(split_share(each)[1], topic))

    @property
    def is_special(self) -> bool:
        """Whether any filter ever wished for more than messages."""
        return self._special

    def matching(self, topic: str) -> tuple[str, ...]:
        """Return the filters that are held and match a topic, shared ones as they are."""
        return tuple(each for each in self._held if matches(split_share(each)[1], topic))

    # UNSUBSCRIBE.

    def drop(
        self, packet: Unsubscribe, is_known: Callable[[str], bool], is_own: Callable[[str], bool] = lambda _: False
    ) -> tuple[Unsubscribe | None, tuple[int, ...]]:
        """Let filters go; return what the broker is told, those that it can have been sent, and the code of each.

        Nothing is told to the broker when there are none. `is_own` says which were held by the gateway itself. Raises
        `PeerFault` when too many wait for an answer.
        """
        codes = tuple(
            ReasonCode.SUCCESS if is_known(each) or is_own(each) else ReasonCode.NO_SUBSCRIPTION_EXISTED
            for each in packet.topic_filters
        )
        self._let_go(packet.topic_filters)
        kept = tuple(each for each in packet.topic_filters if is_known(each))
        if not kept:
            return None, codes
        if len(self._leaving) >= self._held_max:
            raise PeerFault(Kind.MALFORMED, "too many UNSUBSCRIBEs wait for their answers")
        self._leaving[packet.packet_id] = codes
        return Unsubscribe(packet.packet_id, kept), codes

    def withdraw(self, objectionable: Callable[[str], bool]) -> Unsubscribe | None:
        """Let go of the filters that are not allowed any more; return what the broker is told."""
        lost = tuple(each for each in self._held if objectionable(each))
        if not lost:
            return None
        self._let_go(lost)
        packet_id = next(
            each for each in range(_PACKET_IDS, 0, -1) if each not in self._leaving and each not in self._withdrawn
        )
        self._withdrawn[packet_id] = None
        return Unsubscribe(packet_id, lost)

    def _let_go(self, topic_filters: Sequence[str]) -> None:
        for topic_filter in topic_filters:
            if self._held.pop(topic_filter, None) is not None and self._leaves_some(topic_filter):
                self._stale[topic_filter] = None

    def left(self, answer: Unsuback) -> tuple[int, ...] | None:
        """Return the codes of the broker's answer for the client; None where it was ourselves who asked."""
        # Brokers answer in order: where both of us used one identifier, we were first.
        if answer.packet_id in self._withdrawn:
            del self._withdrawn[answer.packet_id]
            return None
        return self._leaving.pop(answer.packet_id, ())
