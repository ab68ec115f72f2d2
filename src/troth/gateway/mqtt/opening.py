"""How a session opens: a CONNECT of either version into what is decided and said to a broker of 3.1.1.

What MQTT 5 asks of a session and 3.1.1 cannot say is done by the gateway, told in CONNACK or refused: docs/mqtt.md.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from troth.gateway.denials import Denials
from troth.gateway.mqtt.conversation import Conversation
from troth.gateway.mqtt.deliveries import Asked
from troth.gateway.mqtt.envelope import MARK, Content, origin_of, seal
from troth.gateway.mqtt.exchange import RESERVED_PAYLOAD, Exchange
from troth.gateway.mqtt.exchange5 import PROPERTIES_REFUSED, Exchange5
from troth.gateway.mqtt.names import ASSIGNED, Flavour
from troth.gateway.mqtt.own_topics import OwnTopics
from troth.gateway.mqtt.terms import Terms
from troth.gateway.refusal import Reason, Refusal
from troth.keys.randomness import random_id
from troth.limits import MQTT_STRING_BYTES_MAX, Limits
from troth.policy.actions import Action, request_resource
from troth.policy.engine import Grant
from troth.protocols.mqtt import (
    NO_PROPERTIES,
    SESSION_NEVER_EXPIRES,
    Connack,
    ConnackCode,
    Connect,
    Properties,
    Version,
    Will,
    render,
)

_RECEIVE_MAX = 65_535
_AWS_KEEP_ALIVE_S_MIN = 30


class Beginning(StrEnum):
    """What becomes of an earlier session, and of this one: 5.0 asks two questions where 3.1.1 has one flag."""

    AS_ASKED = "as-asked"
    """The flag says it all."""
    ANEW = "anew"
    """What there was is forgotten, and this one is kept."""
    IF_ANY = "if-any"
    """What there was is taken up, and forgotten when this one ends."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A CONNECT as it is decided and, under another client id, said to the broker."""

    connect: Connect
    """Of MQTT 3.1.1; its `clean_session` says that nothing was before and nothing is kept."""
    version: Version
    keep_alive_s: int
    """What the session is held to."""
    resumes: bool = False
    """What there was of an earlier session is taken up, if there is any."""
    beginning: Beginning = Beginning.AS_ASKED
    will_delay_s: int = 0
    """How long its will waits; no longer than the session is kept."""
    told: Properties = NO_PROPERTIES
    """What CONNACK says."""
    asked: Properties = NO_PROPERTIES

    def exchange(
        self, terms: Terms, grant: Grant, own: OwnTopics, denials: Denials, upstream_client_id: str
    ) -> Conversation:
        """Return what decides its packets."""
        if self.version is Version.MQTT_3_1_1:
            return Exchange(terms, grant, own, denials)
        asked = Asked(
            origin_of(upstream_client_id),
            self.asked.receive_maximum or _RECEIVE_MAX,
            self.asked.maximum_packet_size,
            self.told.subscription_identifier_available is None,
        )
        return Exchange5(terms, grant, own, denials, asked)

    @property
    def is_kept(self) -> bool:
        """Whether the session is kept when its connection ends."""
        return not self.connect.clean_session and self.beginning is not Beginning.IF_ANY

    def accepted(self, *, session_present: bool) -> bytes:
        """Return the CONNACK that lets the device in."""
        return render(Connack(ConnackCode.ACCEPTED, session_present, self.told), self.version)


def open_session(connect: Connect, terms: Terms, flavour: Flavour) -> Opening:
    """Return how a session opens for a CONNECT as it came. Raises `Refusal` for what cannot be done."""
    will = None if connect.will is None else _sealed(connect.will, terms, connect.version)
    keep_alive_s = honoured_keep_alive_s(connect, terms.limits, aws=terms.aws)
    client_id = connect.client_id or ASSIGNED + random_id()
    plain = Connect(client_id, connect.clean_session, connect.keep_alive_s, will, connect.username, connect.password)
    if connect.version is Version.MQTT_3_1_1:
        return Opening(plain, connect.version, keep_alive_s, not connect.clean_session)
    said = connect.properties
    if said.authentication_method is not None:
        raise _refusal(Reason.AUTHENTICATION_METHOD, Action.CONNECT, client_id, said.authentication_method)
    kept_s = said.session_expiry_s or 0
    delay_s = (connect.will.properties.will_delay_s or 0) if connect.will else 0
    beginning = Beginning.AS_ASKED
    if connect.clean_session and kept_s:
        beginning = Beginning.ANEW
    elif not connect.clean_session and not kept_s:
        beginning = Beginning.IF_ANY
    return Opening(
        connect=replace(plain, clean_session=connect.clean_session and not kept_s),
        version=connect.version,
        keep_alive_s=keep_alive_s,
        resumes=not connect.clean_session,
        beginning=beginning,
        will_delay_s=min(delay_s, kept_s),
        told=_told(connect, client_id, keep_alive_s, terms, flavour),
        asked=said,
    )


def honoured_keep_alive_s(connect: Connect, limits: Limits, *, aws: bool = False) -> int:
    """Return the keep-alive that a session is held to: the device's own within the bound, and the bound for none."""
    most = limits.keep_alive_s_max
    asked = connect.keep_alive_s or most
    return min(max(asked, _AWS_KEEP_ALIVE_S_MIN) if aws else asked, most)


def _told(connect: Connect, client_id: str, keep_alive_s: int, terms: Terms, flavour: Flavour) -> Properties:
    """Return what a client of MQTT 5 has to know of this server (section 3.2.2.3)."""
    is_kept = bool(connect.properties.session_expiry_s)
    return Properties(
        # Nothing here forgets a session that is kept: it is the broker's to do so, and the device's to ask.
        session_expiry_s=SESSION_NEVER_EXPIRES if is_kept else None,
        receive_maximum=terms.limits.receive_max,
        maximum_qos=1 if terms.aws else None,
        maximum_packet_size=terms.limits.packet_bytes,
        assigned_client_id=None if connect.client_id else client_id,
        topic_alias_maximum=terms.limits.topic_aliases_max,
        # A session that is taken up again would have lost them: they are known here and not at the broker.
        subscription_identifier_available=False if is_kept or not connect.clean_session or terms.aws else None,
        shared_subscription_available=False if flavour is Flavour.NATS else None,
        server_keep_alive_s=None if keep_alive_s == connect.keep_alive_s else keep_alive_s,
    )


def _sealed(will: Will, terms: Terms, version: Version) -> Will:
    """Return a will as the broker is to publish it."""
    if terms.aws and will.qos == 2:
        raise _refusal(Reason.QOS_REFUSED, Action.PUBLISH, will.topic)
    said = will.properties._replace(will_delay_s=None)
    if said == NO_PROPERTIES and not will.payload.endswith(MARK):
        return replace(will, properties=NO_PROPERTIES)
    # An envelope around nothing is something, and would not end what is retained.
    if not terms.envelopes or (will.retain and not will.payload):
        if version is Version.MQTT_5:
            raise _refusal(Reason.PROPERTIES_REFUSED, Action.PUBLISH, will.topic, PROPERTIES_REFUSED)
        raise _refusal(Reason.WILL_DENIED, Action.PUBLISH, will.topic, RESERVED_PAYLOAD)
    payload = seal(Content(will.payload, said))
    if len(payload) > MQTT_STRING_BYTES_MAX:
        raise _refusal(Reason.PACKET_TOO_LARGE, Action.PUBLISH, will.topic, "a will does not fit its envelope")
    return Will(will.topic, payload, will.qos, will.retain)


def _refusal(reason: Reason, action: Action, name: str, detail: str = "") -> Refusal:
    return Refusal(reason, action=action, resource=request_resource(action, name), detail=detail)
