"""Bodies are bounded each, and all together with what sessions hold."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from troth.errors import Kind, PeerFault
from troth.gateway.http.uploads import read_body
from troth.gateway.mqtt.flight import FREE_BYTES, Flight

BIG = 2 * FREE_BYTES


class Sender:
    """Sends so many bytes, waits to be told, and sends the rest."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes
        self.sent = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        for size in self._sizes[:-1]:
            yield bytes(size)
        self.sent.set()
        await self.goes_on.wait()
        yield bytes(self._sizes[-1])


async def upload(flight: Flight, *sizes: int) -> tuple[Sender, asyncio.Task[bytes]]:
    sender = Sender(*sizes)
    task = asyncio.create_task(read_body(sender.chunks(), 10 * BIG, flight))
    await asyncio.sleep(0)
    return sender, task


def test_who_has_held_longest_makes_room_and_the_others_go_on() -> None:
    async def main() -> None:
        flight = Flight(BIG + 1)
        slow, holding = await upload(flight, BIG, 1)
        await slow.sent.wait()
        late, waiting = await upload(flight, BIG, 1)
        late.goes_on.set()
        small, honest = await upload(flight, 10, 10)
        small.goes_on.set()
        assert len(await honest) == 20
        assert not waiting.done()
        assert flight.total == 2 * BIG
        flight.tick()
        flight.tick()
        with pytest.raises(PeerFault) as refused:
            await holding
        assert refused.value.kind is Kind.UNAVAILABLE
        assert len(await waiting) == BIG + 1
        assert flight.total == 0

    asyncio.run(main())


def test_a_body_is_bounded_as_soon_as_that_is_known() -> None:
    async def main() -> None:
        flight = Flight(BIG)
        sender = Sender(FREE_BYTES, FREE_BYTES, 1)
        with pytest.raises(PeerFault) as refused:
            await read_body(sender.chunks(), 2 * FREE_BYTES - 1, flight)
        assert refused.value.kind is Kind.TOO_LARGE
        assert not sender.sent.is_set()
        assert flight.total == 0

    asyncio.run(main())


def test_a_sender_that_goes_holds_nothing() -> None:
    async def main() -> None:
        flight = Flight(BIG)
        sender, task = await upload(flight, BIG, 1)
        await sender.sent.wait()
        assert flight.total == BIG
        task.cancel()
        await asyncio.wait([task])
        assert flight.total == 0

    asyncio.run(main())
