"""An exchange without anybody at either end, and what comes out of it on each side."""

from typing import Any

from tests.fixtures.mqtt import allow, policy
from tests.fixtures.reports import RecordingReport

from troth.clock import SystemClock
from troth.gateway.denials import Denials
from troth.gateway.mqtt.exchange import Exchange
from troth.gateway.mqtt.names import Flavour, Names
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.terms import Terms
from troth.gateway.report import Who
from troth.limits import DEFAULT, Limits
from troth.names import Realm
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext
from troth.policy.document import parse_document
from troth.policy.engine import Grant, make_grant
from troth.protocols.mqtt import Packet, Publish, Reader, Role, build_publish
from troth.protocols.provisioning import Topic
from troth.x509.certificates import CertificateAttributes

OPEN = allow(["iot:Publish", "iot:Receive"], "topic/open/*")
SUBSCRIBE = allow("iot:Subscribe", "topicfilter/open/*")


def grant(*statements: dict[str, object]) -> Grant:
    certificate = CertificateAttributes("0" * 64, "1", {}, {}, {}, {})
    context = ConnectionContext(Realm(), certificate, "127.0.0.1", client_id="lamp")
    return make_grant([NamedPolicy("p", parse_document(policy(*statements)))], context)


class Sides:
    """An exchange and what came out of it on either side."""

    def __init__(
        self, *statements: dict[str, object], drops: bool = False, limits: Limits = DEFAULT, offers: bool = False
    ) -> None:
        self.asked: list[tuple[Topic, str, bytes]] = []
        own = OwnTopics((lambda *asked: self.asked.append(asked)) if offers else None, 2)
        self.report = RecordingReport()
        self.denials = Denials(self.report, Who("c1", "127.0.0.1:1"))
        terms = Terms(Names(Flavour.NATS, 64), limits, SystemClock(), drops)
        self.exchange = Exchange(terms, grant(*(statements or (OPEN, SUBSCRIBE))), own, self.denials)

    def device(self, *packets: Packet) -> None:
        self.exchange.from_device(packets)

    def broker(self, *packets: Packet) -> None:
        self.exchange.from_broker(packets)

    @property
    def to_broker(self) -> list[Packet]:
        return _read(Role.SERVER, self.exchange.to_broker)

    @property
    def to_device(self) -> list[Packet]:
        return _read(Role.CLIENT, self.exchange.to_device)


def _read(role: Role, out: list[bytes]) -> list[Packet]:
    """Return what was put out, and find it legal in that direction."""
    opening = b"\x20\x02\x00\x00" if role is Role.CLIENT else bytes.fromhex("100c00044d515454040200000000")
    data = b"".join(out)
    out.clear()
    return Reader(1 << 20, role).feed(opening + data)[1:]


def message(topic: str, qos: int = 0, packet_id: int = 5, **fields: Any) -> Publish:
    return build_publish(topic, b"x", qos=qos, packet_id=packet_id if qos else 0, **fields)
