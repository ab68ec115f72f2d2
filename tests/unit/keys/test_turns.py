"""One at a time in a module, from threads and from an event loop."""

import asyncio
import threading
from pathlib import Path

from troth.keys.turns import turn_of, turn_on_loop

HERE = Path("/nowhere/module.so")


def test_a_loop_waits_for_a_thread_and_goes_on_meanwhile() -> None:
    turn = turn_of(HERE)
    order: list[str] = []

    async def enter() -> None:
        async with turn_on_loop(HERE):
            order.append("in")
            assert turn.locked()

    async def both() -> None:
        entering = asyncio.create_task(enter())
        # The loop is not held up: this runs while the thread below has the turn.
        await asyncio.to_thread(started.wait)
        order.append("loop")
        free.set()
        await entering

    started, free = threading.Event(), threading.Event()

    def hold() -> None:
        with turn:
            started.set()
            free.wait(60)
            order.append("thread")

    thread = threading.Thread(target=hold)
    thread.start()
    started.wait(60)
    asyncio.run(both())
    thread.join()
    assert order == ["loop", "thread", "in"]
    assert not turn.locked()


def test_who_no_longer_waits_keeps_nobody_waiting() -> None:
    turn = turn_of(HERE)

    async def give_up() -> None:
        async def enter() -> None:
            async with turn_on_loop(HERE):
                raise AssertionError("it was not its turn")

        turn.acquire()
        entering = asyncio.create_task(enter())
        await asyncio.sleep(0)
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        turn.release()
        async with turn_on_loop(HERE):
            assert turn.locked()

    asyncio.run(give_up())
    assert not turn.locked()


def test_each_module_has_a_turn_of_its_own() -> None:
    assert turn_of(HERE) is turn_of(Path(str(HERE)))
    assert turn_of(HERE) is not turn_of(HERE.with_name("other.so"))
