"""Properties of reader and writer together: nothing is lost, nothing has two spellings, nothing else is ever raised."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protocols.mqtt.feeding import BOUND, feed_every_way, new_reader
from tests.unit.protocols.mqtt.packet_strategies import conversations_of_a_client, conversations_of_a_server

from troth.protocols.mqtt import Packet, Reader, Role, StreamFault, render

CONVERSATIONS = {Role.SERVER: conversations_of_a_client(), Role.CLIENT: conversations_of_a_server()}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Role, bytes]:
    """A conversation with a few bytes changed, put in or taken out."""
    role = draw(st.sampled_from(Role))
    data = bytearray(b"".join(map(render, draw(CONVERSATIONS[role]))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return role, bytes(data)


@pytest.mark.parametrize("role", Role)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_in_any_split(role: Role, data: st.DataObject) -> None:
    packets = data.draw(CONVERSATIONS[role])
    outcome = feed_every_way(b"".join(map(render, packets)), role, opened=False)
    assert outcome.packets == tuple(packets)
    assert outcome.fault is None


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(damaged())
def test_damage_has_one_outcome_in_any_split(stream: tuple[Role, bytes]) -> None:
    role, data = stream
    feed_every_way(data, role, opened=False)


def accepted(reader: Reader, data: bytes) -> list[Packet]:
    try:
        return reader.feed(data)
    except StreamFault as fault:
        return list(fault.before)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(damaged())
def test_what_is_accepted_has_one_spelling(stream: tuple[Role, bytes]) -> None:
    role, data = stream
    packets = accepted(Reader(BOUND, role), data)
    assert data.startswith(b"".join(map(render, packets)))


@pytest.mark.parametrize("role", Role)
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_packets_or_a_fault(role: Role, data: bytes) -> None:
    assert data.startswith(b"".join(map(render, accepted(Reader(BOUND, role), data))))
    assert data.startswith(b"".join(map(render, accepted(new_reader(role), data))))
