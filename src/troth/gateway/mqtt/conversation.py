"""What the exchanges of both versions of MQTT have in common: deciding, telling, and what the gateway itself answers.

Without I/O. Actions and resources are AWS IoT's. Knows no packet of only one version.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Final

from troth.gateway.denials import Denials
from troth.gateway.mqtt import aws
from troth.gateway.mqtt.acknowledgements import PUBACK, PUBCOMP, PUBREC, PUBREL
from troth.gateway.mqtt.denying import deny, deny_reading
from troth.gateway.mqtt.ended import Ended
from troth.gateway.mqtt.listening import Listening
from troth.gateway.mqtt.own_topics import OwnTopics, accepted
from troth.gateway.mqtt.terms import Terms
from troth.gateway.readings import Checker
from troth.gateway.refusal import Reason
from troth.gateway.report import Report
from troth.limits import TOPICS_JUDGED_MAX
from troth.policy.actions import Action, request_resource
from troth.policy.decision import Outcome
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Pubrel,
    render,
)

_PING_REQUEST: Final = render(Pingreq())
PING_RESPONSE: Final = render(Pingresp())
DISCONNECT: Final = render(Disconnect())
"""Said to the broker, which forgets the will then."""

NOT_SUBSCRIBED: Final = "not-subscribed"
RATE_EXCEEDED: Final = "rate-exceeded"


class Conversation(Listening):
    """One live connection. `to_broker` and `to_device` are what is to be sent; whoever sends it empties them."""

    __slots__ = (
        "_delivered",
        "_good",
        "_pongs_kept",
        "_published",
        "_withheld",
        "checker",
        "left",
    )

    def __init__(self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials) -> None:
        super().__init__(terms, grant, own, denials)
        self._published = 0
        self._delivered = 0
        # Dicts in place of sets: an empty set takes 216 bytes, of most connections for ever, an empty dict 64.
        self._good: dict[str, None] = {}
        self._withheld: dict[int, None] = {}
        self._pongs_kept = 0
        self.checker: Checker | None = None
        """What looks at signatures, where a policy asks for them."""
        self.left: Disconnect | None = None
        """What a device of MQTT 5 said last."""

    @property
    def held_back_bytes(self) -> int:
        """Bytes that wait here for the device."""
        return 0

    @abstractmethod
    def from_device(self, packets: Iterable[Packet]) -> None:
        """Decide what the device sent. Raises `Ended`, also for what breaks the protocol."""

    @abstractmethod
    def from_broker(self, packets: Iterable[Packet]) -> None:
        """Decide what the broker sent. Raises `Ended` for what no broker may send."""

    def count(self, report: Report) -> None:
        """Hand over what was allowed since the last time."""
        if self._published:
            report.allowed(Action.PUBLISH, self._published)
        if self._delivered:
            report.allowed(Action.RECEIVE, self._delivered)
        if self._subscribed:
            report.allowed(Action.SUBSCRIBE, self._subscribed)
        self._published = self._delivered = self._subscribed = 0

    def ping(self) -> None:
        """Show the broker that somebody is there, although the device's last packets went no further than here."""
        self.to_broker.append(_PING_REQUEST)
        self._pongs_kept += 1

    def answer(self, topic: str, payload: bytes) -> None:
        """Give the device a message of the gateway's own, if it listens there and may receive it."""
        if self._own.is_heard(topic) and self._grant.may_receive(topic):
            self._speak(topic, payload)

    def discard(self, packet: Publish) -> None:
        """Take a message from the device for nothing: it sends more of them than may be. Policy is not asked."""
        self._tell("publish.discarded", Action.PUBLISH, packet.topic, RATE_EXCEEDED)
        self._refuse_for_now(packet)

    def pass_over(self, packet: Publish) -> None:
        """Take a message of QoS 0 from the broker for nothing: more of them come than may be."""
        self._tell("receive.discarded", Action.RECEIVE, packet.topic, RATE_EXCEEDED)

    def _tell(self, event: str, action: Action, topic: str, problem: str) -> None:
        """Tell what it is not policy that speaks against."""
        self._denials.tell(event, action, request_resource(action, topic), Outcome.IMPLICIT_DENY, problem, "")

    # What the versions differ in.

    @abstractmethod
    def _refuse_for_now(self, packet: Publish) -> None:
        """Answer a message that is discarded, where there is an answer."""

    @abstractmethod
    def _speak(self, topic: str, payload: bytes) -> None:
        """Put a message of the gateway's own out to the device, and count it."""

    # From the device.

    def _pingreq(self, _: Pingreq) -> None:
        self.to_broker.append(_PING_REQUEST)

    def _is_good(self, topic: str) -> bool:
        if self._terms.names.topic_problem(topic) is not None:
            return False
        if len(self._good) >= TOPICS_JUDGED_MAX:
            self._good.clear()
        self._good[topic] = None
        return True

    def _may_publish(self, packet: Publish) -> bool:
        """Say whether policy allows a message; its signature is looked at where that counts."""
        grant = self._grant
        if grant.may_publish(packet.topic) and (not packet.retain or grant.may_retain(packet.topic)):
            return True
        return self.checker is not None and self.checker.allows(grant, packet)

    def _is_request(self, packet: Publish) -> bool:
        """Say whether it is an allowed request to the gateway itself."""
        return self._own.is_request(packet.topic) and not packet.retain and self._grant.may_publish(packet.topic)

    def _ask(self, packet: Publish) -> None:
        self._published += 1
        # What nobody would hear is not begun: a private key would be made for nobody.
        where = accepted(packet.topic)
        if self._own.is_heard(where) and self._grant.may_receive(where):
            self._own.ask(packet.topic, packet.payload)
        else:
            deny(self._denials, self._grant, "receive.denied", Action.RECEIVE, where, NOT_SUBSCRIBED)

    def _tell_publish(self, topic: str, problem: str | None) -> None:
        """Tell that a PUBLISH is denied; `problem` is what speaks against it beside policy."""
        judgement = self.checker.judgement if problem is None and self.checker is not None else None
        signed = judgement is not None and judgement.outcome.is_proven
        action = Action.PUBLISH
        if problem is None and self._grant.decide(action, topic, message_signed=signed).allowed:
            action = Action.RETAIN_PUBLISH
        if judgement is not None:
            deny_reading(self._denials, self._grant, action, topic, judgement)
            return
        deny(self._denials, self._grant, "publish.denied", action, topic, problem)

    # From the broker.

    def _as_aws(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """Withhold what AWS would not deliver."""
        return aws.delivered(packets, self._subscriptions.matching, self._withhold)

    def _topic_problem(self, packet: Publish) -> str | None:
        """Return what speaks against a message beside policy. Raises `Ended` where there is no answer to it."""
        if self._terms.aws:
            if packet.qos > aws.QOS_MAX:
                raise Ended(Reason.QOS_REFUSED)
            if problem := aws.message_problem(packet):
                return problem
        topic = packet.topic
        return None if topic in self._good or self._is_good(topic) else self._terms.names.topic_problem(topic)

    def _deny_delivery(self, packet: Publish) -> None:
        deny(self._denials, self._grant, "receive.denied", Action.RECEIVE, packet.topic, None)
        self._withhold(packet)

    def _withhold(self, packet: Publish) -> None:
        """Keep a message from the device, and answer the broker in its place so that its flow goes on."""
        if packet.qos == 1:
            self.to_broker.append(PUBACK + packet.packet_id.to_bytes(2))
        elif packet.qos == 2:
            self._withheld[packet.packet_id] = None
            self.to_broker.append(PUBREC + packet.packet_id.to_bytes(2))

    def _pubrel_from_broker(self, packet: Pubrel) -> None:
        if packet.packet_id in self._withheld:
            del self._withheld[packet.packet_id]
            self.to_broker.append(PUBCOMP + packet.packet_id.to_bytes(2))
        else:
            self.to_device.append(PUBREL + packet.packet_id.to_bytes(2))

    def _pingresp(self, _: Pingresp) -> None:
        if self._pongs_kept:
            self._pongs_kept -= 1
        else:
            self.to_device.append(PING_RESPONSE)
