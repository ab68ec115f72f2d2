"""No more is under way to a device than it said, in order, and nothing is lost that waits."""

from troth.gateway.mqtt.window import Window


def test_what_is_over_it_waits_in_order() -> None:
    out: list[bytes] = []
    window = Window(2, out)
    for number in range(1, 6):
        window.put(number, b"%d" % number)
    assert (out, window.waiting_bytes) == ([b"1", b"2"], 3)
    window.release(2)
    window.release(9)
    assert (out, window.waiting_bytes) == ([b"1", b"2", b"3"], 2)
    window.release(1)
    window.release(3)
    assert (out, window.waiting_bytes) == ([b"1", b"2", b"3", b"4", b"5"], 0)


def test_what_is_sent_again_takes_no_more_room() -> None:
    out: list[bytes] = []
    window = Window(1, out)
    window.put(1, b"1")
    window.put(1, b"1 again")
    window.put(2, b"2")
    assert out == [b"1", b"1 again"]
    window.release(1)
    assert out[-1] == b"2"
