"""What is written in one turn of the loop goes out at once, in order, and before the end."""

import asyncio
from typing import Any

from troth.tls.joining import JoiningTransport


class Recorder(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def write(self, data: Any) -> None:
        self.asked.append(bytes(data))

    def close(self) -> None:
        self.asked.append("close")

    def abort(self) -> None:
        self.asked.append("abort")


def test_a_turns_writes_are_one() -> None:
    async def run() -> None:
        outer = Recorder()
        joining = JoiningTransport(outer, asyncio.get_running_loop())
        joining.write(b"head")
        joining.write(b"")
        joining.write(bytearray(b" body"))
        assert outer.asked == []
        await asyncio.sleep(0)
        joining.write(b"next")
        await asyncio.sleep(0)
        assert outer.asked == [b"head body", b"next"]

    asyncio.run(run())


def test_the_end_comes_after_what_was_written() -> None:
    async def run() -> None:
        outer = Recorder()
        joining = JoiningTransport(outer, asyncio.get_running_loop())
        joining.write(b"last words")
        joining.close()
        await asyncio.sleep(0)
        assert outer.asked == [b"last words", "close"]

    asyncio.run(run())


def test_an_abort_says_nothing_more() -> None:
    async def run() -> None:
        outer = Recorder()
        joining = JoiningTransport(outer, asyncio.get_running_loop())
        joining.write(b"never said")
        joining.abort()
        await asyncio.sleep(0)
        assert outer.asked == ["abort"]

    asyncio.run(run())


def test_no_more_is_held_than_a_buffer_full() -> None:
    async def run() -> None:
        outer = Recorder()
        joining = JoiningTransport(outer, asyncio.get_running_loop())
        joining.write(bytes(40_000))
        joining.write(bytes(40_000))
        assert outer.asked == [bytes(80_000)]
        await asyncio.sleep(0)
        assert outer.asked == [bytes(80_000)]

    asyncio.run(run())
