"""Packets of MQTT 5.0 for hypothesis: every type and every property, within what the protocol can say."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.unit.protocols.mqtt.packet_strategies import FILTERS, PACKET_IDS, PAYLOADS, QOS, TEXTS, TOPICS

from troth.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Role,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
    build_publish,
)
from troth.protocols.mqtt.packet_types import PacketType
from troth.protocols.mqtt.property_table import TABLE, Place
from troth.protocols.mqtt.reason_codes import CODES

_NUMBERS = {1: st.booleans(), 2: st.integers(1, 0xFFFF), 4: st.integers(1, 0xFFFF_FFFF)}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "response_topic": TOPICS,
    "correlation_data": PAYLOADS,
    "authentication_data": PAYLOADS,
    "maximum_qos": st.integers(0, 1),
    "topic_alias": st.integers(1, 8),
    "user_properties": st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    "subscription_ids": st.lists(st.integers(1, 268_435_455), max_size=3).map(tuple),
    **dict.fromkeys(
        ("content_type", "assigned_client_id", "authentication_method", "response_information", "server_reference"),
        TEXTS,
    ),
    "reason_string": TEXTS,
    **dict.fromkeys(("server_keep_alive_s", "receive_maximum", "topic_alias_maximum"), _NUMBERS[2]),
    **dict.fromkeys(
        ("message_expiry_s", "session_expiry_s", "will_delay_s", "maximum_packet_size"),
        _NUMBERS[4],
    ),
}


@st.composite
def properties(draw: st.DrawFn, place: Place) -> Properties:
    """Properties as may stand in `place`, but for what depends on packets before."""
    rows = [row for row in TABLE if place in row.places and row.name != "topic_alias"]
    chosen = draw(st.lists(st.sampled_from(rows), max_size=4, unique_by=lambda row: row.name))
    values = {row.name: draw(_BY_NAME.get(row.name, _NUMBERS[1])) for row in chosen}
    if "authentication_data" in values:
        values.setdefault("authentication_method", "m")
    if place is Place.SUBSCRIBE and "subscription_ids" in values:
        values["subscription_ids"] = values["subscription_ids"][:1]
    return Properties(**values)


def codes(packet_type: PacketType) -> st.SearchStrategy[ReasonCode]:
    return st.sampled_from(list(CODES[packet_type].values()))


@st.composite
def publishes(draw: st.DrawFn, place: Place) -> Publish:
    qos = draw(QOS)
    said = draw(properties(place))
    return build_publish(
        draw(TOPICS),
        draw(PAYLOADS),
        qos=qos,
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        packet_id=draw(PACKET_IDS) if qos else 0,
        version=Version.MQTT_5,
        properties=said._replace(topic_alias=draw(st.none() | st.integers(1, 8))),
    )


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    will = st.builds(Will, TOPICS, PAYLOADS, QOS, st.booleans(), properties(Place.WILL))
    return Connect(
        draw(TEXTS),
        clean_session=draw(st.booleans()),
        keep_alive_s=draw(st.integers(0, 0xFFFF)),
        will=draw(st.none() | will),
        username=draw(st.none() | TEXTS),
        password=draw(st.none() | PAYLOADS),
        version=Version.MQTT_5,
        properties=draw(properties(Place.CONNECT)),
    )


@st.composite
def connacks(draw: st.DrawFn) -> Connack:
    code = draw(codes(PacketType.CONNACK))
    return Connack(code, not code and draw(st.booleans()), draw(properties(Place.CONNACK)))


def both_ways(place: Place) -> st.SearchStrategy[Packet]:
    answers = properties(Place.ANSWER)
    return st.one_of(
        publishes(place),
        st.builds(Puback, PACKET_IDS, codes(PacketType.PUBACK), answers),
        st.builds(Pubrec, PACKET_IDS, codes(PacketType.PUBREC), answers),
        st.builds(Pubrel, PACKET_IDS, codes(PacketType.PUBREL), answers),
        st.builds(Pubcomp, PACKET_IDS, codes(PacketType.PUBCOMP), answers),
    )


def some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=1, max_size=4).map(tuple)


SUBSCRIPTIONS = st.builds(Subscription, FILTERS, QOS, st.booleans(), st.booleans(), QOS)
TO_A_SERVER: st.SearchStrategy[Packet] = st.one_of(
    both_ways(Place.TO_SERVER),
    st.builds(Subscribe, PACKET_IDS, some(SUBSCRIPTIONS), properties(Place.SUBSCRIBE)),
    st.builds(Unsubscribe, PACKET_IDS, some(FILTERS), properties(Place.UNSUBSCRIBE)),
    st.builds(Pingreq),
)
TO_A_CLIENT: st.SearchStrategy[Packet] = st.one_of(
    both_ways(Place.TO_CLIENT),
    st.builds(Suback, PACKET_IDS, some(codes(PacketType.SUBACK)), properties(Place.ANSWER)),
    st.builds(Unsuback, PACKET_IDS, some(codes(PacketType.UNSUBACK)), properties(Place.ANSWER)),
    st.builds(Pingresp),
)
AUTHS = st.builds(
    Auth,
    st.sampled_from([ReasonCode.CONTINUE_AUTHENTICATION, ReasonCode.REAUTHENTICATE]),
    properties(Place.AUTH),
)


@st.composite
def conversations_of_a_client(draw: st.DrawFn) -> list[Packet]:
    """What a server is sent, from CONNECT on."""
    connect = draw(connects())
    packets: list[Packet] = [connect, *draw(st.lists(TO_A_SERVER, max_size=6))]
    method = connect.properties.authentication_method
    if method is not None and draw(st.booleans()):
        auth = draw(AUTHS)
        packets.append(replace(auth, properties=auth.properties._replace(authentication_method=method)))
    if draw(st.booleans()):
        leaves = draw(properties(Place.CLIENT_LEAVES))
        if not connect.properties.session_expiry_s:
            leaves = leaves._replace(session_expiry_s=None)
        packets.append(Disconnect(draw(codes(PacketType.DISCONNECT)), leaves))
    return packets


@st.composite
def conversations_of_a_server(draw: st.DrawFn) -> list[Packet]:
    """What a client is sent, from CONNACK on."""
    packets: list[Packet] = [draw(connacks()), *draw(st.lists(TO_A_CLIENT, max_size=6))]
    if draw(st.booleans()):
        packets.append(Disconnect(draw(codes(PacketType.DISCONNECT)), draw(properties(Place.SERVER_LEAVES))))
    return packets


CONVERSATIONS = {Role.SERVER: conversations_of_a_client(), Role.CLIENT: conversations_of_a_server()}
