"""Feeds a reader the same bytes in many ways and holds it to one outcome."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from troth.errors import Kind
from troth.protocols.mqtt import (
    Connack,
    ConnackCode,
    Connect,
    Packet,
    Properties,
    Reader,
    ReasonCode,
    Role,
    StreamFault,
    Version,
    render,
)

BOUND = 4096
ALIASES = 8
OPENING = {Role.SERVER: render(Connect("thermostat-1")), Role.CLIENT: render(Connack(ConnackCode.ACCEPTED))}
ASKED = Properties(authentication_method="m")
OPENING5 = {
    Role.SERVER: render(Connect("thermostat-1", version=Version.MQTT_5, properties=ASKED), Version.MQTT_5),
    Role.CLIENT: render(Connack(ReasonCode.SUCCESS), Version.MQTT_5),
}


@dataclass(frozen=True)
class Outcome:
    """What a stream came to: the packets, and the fault that ended it."""

    packets: tuple[Packet, ...]
    fault: tuple[Kind, str] | None = None
    reason: ReasonCode | None = None
    version: Version | None = Version.MQTT_3_1_1


def new_reader(
    role: Role, *, opened: bool = True, bound: int = BOUND, version: Version | None = Version.MQTT_3_1_1
) -> Reader:
    reader = Reader(bound, role, version, alias_max=ALIASES)
    if opened:
        opening = OPENING if version is Version.MQTT_3_1_1 else OPENING5
        assert len(reader.feed(opening[role])) == 1
    return reader


def feed(reader: Reader, pieces: Iterable[bytes]) -> Outcome:
    packets: list[Packet] = []
    for piece in pieces:
        try:
            packets += reader.feed(piece)
        except StreamFault as fault:
            found = (fault.kind, fault.message)
            return Outcome((*packets, *fault.before), found, fault.reason, reader.version)
    return Outcome(tuple(packets), version=reader.version)


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Yield `data` byte by byte, in two at each of its first places, and at random places."""
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, min(len(data), 40)):
        yield [data[:at], data[at:]]
    chance = random.Random(len(data))
    for _ in range(5):
        places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 9)))
        yield [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def feed_every_way(
    data: bytes,
    role: Role,
    *,
    opened: bool = True,
    bound: int = BOUND,
    version: Version | None = Version.MQTT_3_1_1,
) -> Outcome:
    """Feed `data` whole and in every split to readers of their own; return the one outcome of all."""
    outcome = feed(new_reader(role, opened=opened, bound=bound, version=version), [data])
    for pieces in splits(data):
        assert feed(new_reader(role, opened=opened, bound=bound, version=version), pieces) == outcome
    return outcome
