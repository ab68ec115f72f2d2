"""Lines between neighbours: what is rendered is read back, and anything else is a value or a typed error."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Fault, Kind, PeerFault
from troth.limits import NEIGHBOUR_LINE_BYTES_MAX
from troth.protocols.neighbours import Line, Lines, Message, Refused, Taken, Welcome, parse_line, render_line

SAID = st.one_of(
    st.builds(Welcome, st.text(max_size=100)),
    st.builds(Refused, st.text(max_size=100)),
    st.builds(Message, st.text(max_size=100)),
    st.builds(Taken, st.none() | st.text(max_size=100)),
)


@given(st.lists(SAID, max_size=5), st.integers(1, 50))
def test_lines_come_as_they_were_said_however_they_are_cut(said: list[Line], size: int) -> None:
    data, lines, came = b"".join(map(render_line, said)), Lines(), []
    for at in range(0, len(data), size):
        lines.feed(data[at : at + size])
        while (line := lines.take()) is not None:
            came.append(line)
    assert came == said


@given(st.binary(max_size=200))
def test_any_bytes_are_a_line_or_a_fault(data: bytes) -> None:
    with suppress(PeerFault):
        parse_line(data)


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b'{"message": 1}', b'{"taken": 1.5}', b"[" * 50_000, b'{"welcome": null}']
)
def test_what_nobody_says_is_malformed(data: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_line(data)


def test_what_is_added_later_is_let_pass() -> None:
    assert parse_line(b'{"message": "on", "more": []}') == Message("on")


def test_a_line_is_bounded_both_ways() -> None:
    longest = Message("x" * (NEIGHBOUR_LINE_BYTES_MAX - len('{"message": ""}\n')))
    lines = Lines()
    lines.feed(render_line(longest))
    assert lines.take() == longest
    with pytest.raises(Fault) as caught:
        render_line(Message(longest.text + "x"))
    assert caught.value.kind is Kind.TOO_LARGE
    lines.feed(b"x" * NEIGHBOUR_LINE_BYTES_MAX)
    with pytest.raises(PeerFault) as caught:
        lines.take()
    assert caught.value.kind is Kind.TOO_LARGE
