"""What a connection listens to: SUBSCRIBE and UNSUBSCRIBE, decided filter by filter, and what a change takes away.

Without I/O. Knows no messages.
"""

from abc import ABC, abstractmethod
from typing import Final

from troth.errors import PeerFault
from troth.gateway.denials import Denials
from troth.gateway.mqtt import aws
from troth.gateway.mqtt.denying import NO_POLICY, deny
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.subscriptions import Subscriptions
from troth.gateway.mqtt.terms import Terms
from troth.gateway.refusal import Reason
from troth.policy.actions import Action
from troth.policy.engine import Grant
from troth.protocols.mqtt import Suback, Subscribe, Subscription, Unsuback, Unsubscribe, render

TOO_MANY_FILTERS: Final = "too-many-filters"
TOO_MANY_SUBSCRIPTIONS: Final = "too-many-subscriptions"
WITHDRAWN: Final = "subscription.withdrawn"


class Listening(ABC):
    """The filters of one connection. `to_broker` and `to_device` are what is to be sent."""

    __slots__ = (
        "_denials",
        "_grant",
        "_own",
        "_subscribed",
        "_subscriptions",
        "_terms",
        "to_broker",
        "to_device",
    )

    def __init__(self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials) -> None:
        self.to_broker: list[bytes] = []
        self.to_device: list[bytes] = []
        self._subscribed = 0
        self._terms = terms
        self._grant = grant
        self._own = own
        self._denials = denials
        held_max = terms.limits.subscriptions_per_connection_max
        leaves_some = terms.names.leaves_some
        self._subscriptions = Subscriptions(held_max, own.subscribe, denials.subscribed, leaves_some)

    def regrant(self, grant: Grant) -> None:
        """Decide by `grant` from now on. Filters that it does not allow are given back to the broker."""
        self._grant = grant
        lost = self._subscriptions.withdraw(self._is_withdrawn)
        self._own.withdraw(self._is_withdrawn)
        if lost is not None:
            self._denials.unsubscribed(lost.topic_filters)
            self.to_broker.append(render(lost))

    # What the versions differ in.

    @abstractmethod
    def _say(self, packet: Suback | Unsuback) -> None:
        """Put an answer out to the device."""

    @abstractmethod
    def _filter_code(self, problem: str) -> int:
        """Return the code that refuses a filter for a problem."""

    # From the device.

    def _subscribe(self, packet: Subscribe) -> None:
        if self._terms.aws and aws.asks_too_much(packet.subscriptions):
            raise Ended(Reason.QOS_REFUSED)
        try:
            split = self._subscriptions.split(packet, self._filter_objection, self._no_room)
        except PeerFault as fault:
            raise Ended(Reason.PROTOCOL_ERROR, fault.message) from fault
        if split.forward is not None:
            self._subscribed += len(split.forward.subscriptions)
            self.to_broker.append(render(split.forward))
        if split.answer is not None:
            self._say(split.answer)

    def _filter_objection(self, place: int, wanted: Subscription) -> int | None:
        topic_filter = wanted.topic_filter
        problem = self._filter_problem(wanted)
        if problem is None and place >= self._terms.limits.filters_per_subscribe_max:
            problem = TOO_MANY_FILTERS
        if problem is None and self._grant.may_subscribe(topic_filter):
            return None
        deny(self._denials, self._grant, "subscribe.denied", Action.SUBSCRIBE, topic_filter, problem)
        # What policy denies is denied by policy, whatever else speaks against it.
        if not self._grant.may_subscribe(topic_filter):
            problem = NO_POLICY
        return self._filter_code(problem or NO_POLICY)

    def _filter_problem(self, wanted: Subscription) -> str | None:
        """Return what speaks against a filter beside policy."""
        if self._own.is_own(wanted.topic_filter):
            return None
        return self._terms.names.filter_problem(wanted.topic_filter)

    def _no_room(self, topic_filter: str) -> int:
        problem = TOO_MANY_SUBSCRIPTIONS
        deny(self._denials, self._grant, "subscribe.denied", Action.SUBSCRIBE, topic_filter, problem)
        return self._filter_code(problem)

    def _is_withdrawn(self, topic_filter: str) -> bool:
        if self._grant.may_subscribe(topic_filter):
            return False
        deny(self._denials, self._grant, WITHDRAWN, Action.SUBSCRIBE, topic_filter, None)
        return True

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        was_own = set(filter(self._own.is_held, packet.topic_filters))
        self._own.unsubscribe(packet.topic_filters)
        self._denials.unsubscribed(packet.topic_filters)
        try:
            forward, codes = self._subscriptions.drop(packet, self._is_known, was_own.__contains__)
        except PeerFault as fault:
            raise Ended(Reason.PROTOCOL_ERROR, fault.message) from fault
        if forward is not None:
            self.to_broker.append(render(forward))
        else:
            self._say(Unsuback(packet.packet_id, codes))

    def _is_known(self, topic_filter: str) -> bool:
        """Say whether the broker can have been sent a filter."""
        return self._terms.names.filter_problem(topic_filter) is None

    # From the broker.

    def _unsuback(self, packet: Unsuback) -> None:
        codes = self._subscriptions.left(packet)
        if codes is not None:
            self._say(Unsuback(packet.packet_id, codes))

    def _suback(self, packet: Suback) -> None:
        try:
            merged = self._subscriptions.merge(packet)
        except PeerFault as fault:
            raise Ended(Reason.UPSTREAM_INVALID, fault.message) from fault
        self._say(merged)
