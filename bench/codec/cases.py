"""What is read and written: a thousand packets of a kind, in either version, as one device sends them."""

from collections.abc import Callable, Mapping
from typing import Final

from troth.protocols.mqtt import (
    NO_PROPERTIES,
    Connect,
    Properties,
    Puback,
    Publish,
    Reader,
    Role,
    Version,
    build_publish,
    convert,
    render,
)

PACKETS: Final = 1000
_PAYLOAD: Final = b"x" * 64
_TOPICS: Final = tuple(f"dt/device-{number}/temperature" for number in range(4))
_PACKET_BYTES_MAX: Final = 256 * 1024
_ALIASES: Final = 8
V3, V5 = Version.MQTT_3_1_1, Version.MQTT_5
_SAID: Final = Properties(content_type="text/plain", user_properties=(("unit", "C"),))


def _reader(version: Version) -> Reader:
    reader = Reader(_PACKET_BYTES_MAX, Role.SERVER, version, alias_max=_ALIASES)
    reader.feed(render(Connect("device", version=version), version))
    return reader


def _messages(version: Version, properties: Callable[[int], Properties] = lambda _: NO_PROPERTIES) -> list[Publish]:
    return [
        build_publish(_TOPICS[number % 4], _PAYLOAD, version=version, properties=properties(number))
        for number in range(PACKETS)
    ]


def _reading(packets: list[bytes], version: Version) -> Callable[[], object]:
    reader, data = _reader(version), b"".join(packets)
    return lambda: reader.feed(data)


def _aliased() -> Callable[[], object]:
    reader = _reader(V5)
    reader.feed(build_publish(_TOPICS[0], _PAYLOAD, version=V5, properties=Properties(topic_alias=1)).raw)
    packet = bytes((0x30, 6 + len(_PAYLOAD), 0, 0, 3, 0x23, 0, 1)) + _PAYLOAD
    data = packet * PACKETS
    return lambda: reader.feed(data)


def _raws(messages: list[Publish]) -> list[bytes]:
    return [message.raw for message in messages]


def _numbered(number: int) -> Properties:
    return _SAID._replace(correlation_data=number.to_bytes(4))


def cases() -> Mapping[str, Callable[[], object]]:
    """Return what to measure, by name; one call deals with `PACKETS` packets."""
    three, five, said = _messages(V3), _messages(V5), _messages(V5, lambda _: _SAID)
    acks = [Puback(number + 1) for number in range(PACKETS)]
    return {
        "read PUBLISH, 3.1.1": _reading(_raws(three), V3),
        "read PUBLISH, 5": _reading(_raws(five), V5),
        "read PUBLISH, 5, topic alias": _aliased(),
        "read PUBLISH, 5, the same two properties": _reading(_raws(said), V5),
        "read PUBLISH, 5, three properties, one new": _reading(_raws(_messages(V5, _numbered)), V5),
        "read PUBACK, 3.1.1": _reading([render(ack) for ack in acks], V3),
        "read PUBACK, 5": _reading([render(ack, V5) for ack in acks], V5),
        "PUBLISH of 5 into 3.1.1": lambda: [convert(message, V3) for message in five],
        "PUBLISH of 3.1.1 into 5": lambda: [convert(message, V5) for message in three],
        "make PUBLISH, 3.1.1": lambda: _messages(V3),
        "make PUBLISH, 5, two properties": lambda: _messages(V5, lambda _: _SAID),
    }
