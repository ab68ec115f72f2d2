"""Feeds a reader the same bytes in many ways and holds it to one outcome."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from troth.errors import Kind
from troth.protocols.mqtt import Connack, ConnackCode, Connect, Packet, Reader, Role, StreamFault, render

BOUND = 4096
OPENING = {Role.SERVER: render(Connect("thermostat-1")), Role.CLIENT: render(Connack(ConnackCode.ACCEPTED))}


@dataclass(frozen=True)
class Outcome:
    """What a stream came to: the packets, and the fault that ended it."""

    packets: tuple[Packet, ...]
    fault: tuple[Kind, str] | None = None


def new_reader(role: Role, *, opened: bool = True, bound: int = BOUND) -> Reader:
    reader = Reader(bound, role)
    if opened:
        assert len(reader.feed(OPENING[role])) == 1
    return reader


def feed(reader: Reader, pieces: Iterable[bytes]) -> Outcome:
    packets: list[Packet] = []
    for piece in pieces:
        try:
            packets += reader.feed(piece)
        except StreamFault as fault:
            return Outcome((*packets, *fault.before), (fault.kind, fault.message))
    return Outcome(tuple(packets))


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Yield `data` byte by byte, in two at each of its first places, and at random places."""
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, min(len(data), 40)):
        yield [data[:at], data[at:]]
    chance = random.Random(len(data))
    for _ in range(5):
        places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 9)))
        yield [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def feed_every_way(data: bytes, role: Role, *, opened: bool = True, bound: int = BOUND) -> Outcome:
    """Feed `data` whole and in every split to readers of their own; return the one outcome of all."""
    outcome = feed(new_reader(role, opened=opened, bound=bound), [data])
    for pieces in splits(data):
        assert feed(new_reader(role, opened=opened, bound=bound), pieces) == outcome
    return outcome
