import threading

import pytest

from troth.keys.pkcs11.calls import Calls, Late


def test_a_call_returns_what_its_function_returns() -> None:
    calls = Calls("test")
    assert calls.call(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0, 5)
    assert calls.call(lambda: 8, 5) == 8


def test_all_calls_are_made_in_one_thread_one_after_the_other() -> None:
    calls, seen, inside = Calls("test"), set(), []

    def work() -> None:
        inside.append(1)
        assert len(inside) == 1
        seen.add(threading.get_ident())
        inside.pop()

    threads = [threading.Thread(target=lambda: [calls.call(work, 5) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
    assert seen != {threading.get_ident()}


def test_who_comes_after_a_late_call_does_not_wait() -> None:
    calls, released, done = Calls("test"), threading.Event(), threading.Event()

    def hang() -> None:
        released.wait(10)
        done.set()

    with pytest.raises(Late, match="no answer within"):
        calls.call(hang, 0.01)
    with pytest.raises(Late, match="an earlier call"):
        calls.call(lambda: 1, 60)
    released.set()
    assert done.wait(10)
    for _ in range(100_000):
        try:
            assert calls.call(lambda: 2, 60) == 2
        except Late:
            continue
        return
    pytest.fail("it never came back")


def test_a_call_that_waited_too_long_is_not_made_any_more() -> None:
    calls, released, begun = Calls("test"), threading.Event(), threading.Event()
    made: list[int] = []

    def hang() -> None:
        begun.set()
        released.wait(10)

    first = threading.Thread(target=lambda: calls.call(hang, 10))
    first.start()
    assert begun.wait(10)
    with pytest.raises(Late):
        calls.call(lambda: made.append(1), 0.01)
    released.set()
    first.join()
    assert calls.call(lambda: 3, 10) == 3
    assert made == []
