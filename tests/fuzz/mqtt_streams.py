"""Any bytes as an MQTT conversation of either version: packets or a typed fault, the same however they are cut up."""

import itertools
from typing import Final

from troth.protocols.mqtt import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Reader,
    ReasonCode,
    Role,
    StreamFault,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    Will,
    build_publish,
    render,
)

_BOUND: Final = 64 * 1024
_ALIASES: Final = 8
_V3, _V5 = Version.MQTT_3_1_1, Version.MQTT_5
_TALK: Final[tuple[Packet, ...]] = (
    Subscribe(1, (Subscription("a/+", 1), Subscription("$share/g/#", 2))),
    build_publish("a/b", b"payload", qos=1, packet_id=7),
    build_publish("a/b", b"x" * 200),
    Puback(7),
    Unsubscribe(2, ("a/+",)),
    Disconnect(),
)
_SAID: Final = Properties(
    payload_is_text=True,
    message_expiry_s=60,
    response_topic="r",
    correlation_data=b"c",
    topic_alias=1,
    user_properties=(("k", "v"), ("k", "w")),
)
_TALK5: Final[tuple[Packet, ...]] = (
    Connect(
        "a",
        will=Will("t", b"w", 1, properties=Properties(will_delay_s=3)),
        version=_V5,
        properties=Properties(session_expiry_s=9, authentication_method="m", user_properties=(("k", "v"),)),
    ),
    Auth(ReasonCode.CONTINUE_AUTHENTICATION, Properties(authentication_method="m", authentication_data=b"d")),
    Subscribe(1, (Subscription("a/#", 2, True, True, 2),), Properties(subscription_ids=(300,))),
    build_publish("a/b", b"payload", qos=2, packet_id=7, version=_V5, properties=_SAID),
    build_publish("a/b", b"", version=_V5),
    Puback(7, ReasonCode.NOT_AUTHORIZED, Properties(reason_string="no")),
    Disconnect(ReasonCode.DISCONNECT_WITH_WILL, Properties(session_expiry_s=1)),
)
_ANSWERS5: Final[tuple[Packet, ...]] = (
    Connack(
        ReasonCode.SUCCESS, properties=Properties(assigned_client_id="x", receive_maximum=9, server_keep_alive_s=30)
    ),
    Suback(1, (ReasonCode.GRANTED_QOS_2,)),
    build_publish("a/b", b"!", version=_V5, properties=Properties(subscription_ids=(300, 1))),
    Disconnect(ReasonCode.SERVER_MOVED, Properties(server_reference="s")),
)

SEEDS: Final = (
    b"".join(map(render, (Connect("a", will=Will("t", b"w")), *_TALK))),
    b"".join(map(render, (Connack(ReasonCode.SUCCESS), Suback(1, (0, 128)), _TALK[1]))),
    b"".join(render(packet, _V5) for packet in _TALK5),
    b"".join(render(packet, _V5) for packet in _ANSWERS5),
    b"",
)
WORDS: Final = (
    *(bytes([first]) for first in range(0x10, 0x100, 0x10)),
    b"\x82",
    b"\x00\x04MQTT\x04",
    b"\x00\x04MQTT\x05",
    b"\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\x01",
    b"\x80\x00",
    b"\x30\x06\x00\x00\x03\x23\x00\x01",
    b"\x26\x00\x00\x00\x00",
    b"\x0b\x01",
    b"\x00\x01\x23",
    b"\x00\x02\xc3\xbc",
    b"\xed\xa0\x80",
    *(render(packet, _V5) for packet in _TALK5),
)


def check(data: bytes) -> None:
    """Read it as either end of either version, whole and in pieces; what is accepted of it can be written again."""
    for role, version in (*itertools.product(Role, Version), (Role.SERVER, None)):
        whole, end = _read(Reader(_BOUND, role, version, alias_max=_ALIASES), [data])
        cut = len(data) // 3
        pieces = [data[:1], data[1:cut], data[cut : cut + 7], data[cut + 7 :]] if cut else [data]
        assert _read(Reader(_BOUND, role, version, alias_max=_ALIASES), pieces) == (whole, end)
        if whole:
            spoken = version or (whole[0].version if isinstance(whole[0], Connect) else _V3)
            written = b"".join(render(packet, spoken) for packet in whole)
            again, _ = _read(Reader(2 * _BOUND, role, version, alias_max=_ALIASES), [written])
            assert again == whole


def _read(reader: Reader, pieces: list[bytes]) -> tuple[list[Packet], tuple[str, ReasonCode] | None]:
    packets: list[Packet] = []
    for piece in pieces:
        try:
            packets += reader.feed(piece)
        except StreamFault as fault:
            return [*packets, *fault.before], (fault.message, fault.reason)
    return packets, None
