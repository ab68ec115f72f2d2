"""Packets for hypothesis: every type, within what the protocol can say."""

from hypothesis import strategies as st

from troth.protocols.mqtt import (
    SUBSCRIPTION_REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
    build_publish,
)

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(CHARACTERS, max_size=12)
TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=12)
FILTERS = st.lists(
    st.one_of(st.just("+"), TOPICS.filter(lambda text: "/" not in text)), min_size=1, max_size=4
).flatmap(lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"])]))
PACKET_IDS = st.integers(1, 0xFFFF)
QOS = st.integers(0, 2)
PAYLOADS = st.one_of(st.binary(max_size=20), st.binary(min_size=90, max_size=300))


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(QOS)
    return build_publish(
        draw(TOPICS),
        draw(PAYLOADS),
        qos=qos,
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        packet_id=draw(PACKET_IDS) if qos else 0,
    )


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    client_id = draw(TEXTS)
    username = draw(st.none() | TEXTS)
    return Connect(
        client_id,
        clean_session=not client_id or draw(st.booleans()),
        keep_alive_s=draw(st.integers(0, 0xFFFF)),
        will=draw(st.none() | st.builds(Will, TOPICS, PAYLOADS, QOS, st.booleans())),
        username=username,
        password=None if username is None else draw(st.none() | PAYLOADS),
    )


CONNACKS = st.one_of(
    st.builds(Connack, st.just(ConnackCode.ACCEPTED), st.booleans()),
    st.builds(Connack, st.sampled_from(ConnackCode)),
)
BOTH_WAYS: st.SearchStrategy[Packet] = st.one_of(
    publishes(),
    st.builds(Puback, PACKET_IDS),
    st.builds(Pubrec, PACKET_IDS),
    st.builds(Pubrel, PACKET_IDS),
    st.builds(Pubcomp, PACKET_IDS),
)
TO_A_SERVER: st.SearchStrategy[Packet] = st.one_of(
    BOTH_WAYS,
    st.builds(
        Subscribe, PACKET_IDS, st.lists(st.builds(Subscription, FILTERS, QOS), min_size=1, max_size=4).map(tuple)
    ),
    st.builds(Unsubscribe, PACKET_IDS, st.lists(FILTERS, min_size=1, max_size=4).map(tuple)),
    st.builds(Pingreq),
)
TO_A_CLIENT: st.SearchStrategy[Packet] = st.one_of(
    BOTH_WAYS,
    st.builds(
        Suback,
        PACKET_IDS,
        st.lists(st.sampled_from([0, 1, 2, SUBSCRIPTION_REFUSED]), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Unsuback, PACKET_IDS),
    st.builds(Pingresp),
)


@st.composite
def conversations_of_a_client(draw: st.DrawFn) -> list[Packet]:
    """What a server is sent, from CONNECT on."""
    packets = [draw(connects()), *draw(st.lists(TO_A_SERVER, max_size=6))]
    return [*packets, Disconnect()] if draw(st.booleans()) else packets


@st.composite
def conversations_of_a_server(draw: st.DrawFn) -> list[Packet]:
    """What a client is sent, from CONNACK on."""
    return [draw(CONNACKS), *draw(st.lists(TO_A_CLIENT, max_size=6))]
