"""Properties of reader and writer together: nothing is lost, nothing has two meanings, nothing else is ever raised."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.protocols.mqtt import packet_strategies5
from tests.unit.protocols.mqtt.feeding import ALIASES, BOUND, feed_every_way, new_reader
from tests.unit.protocols.mqtt.packet_strategies import conversations_of_a_client, conversations_of_a_server

from troth.protocols.mqtt import Packet, Reader, Role, StreamFault, Version, render

pytestmark = pytest.mark.slow

CONVERSATIONS = {
    Version.MQTT_3_1_1: {Role.SERVER: conversations_of_a_client(), Role.CLIENT: conversations_of_a_server()},
    Version.MQTT_5: packet_strategies5.CONVERSATIONS,
}
BOTH_VERSIONS = pytest.mark.parametrize("version", Version)


def written(packets: list[Packet], version: Version) -> bytes:
    return b"".join(render(packet, version) for packet in packets)


@st.composite
def damaged(draw: st.DrawFn, version: Version) -> tuple[Role, bytes]:
    """A conversation with a few bytes changed, put in or taken out."""
    role = draw(st.sampled_from(Role))
    data = bytearray(written(draw(CONVERSATIONS[version][role]), version))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return role, bytes(data)


@BOTH_VERSIONS
@pytest.mark.parametrize("role", Role)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_in_any_split(version: Version, role: Role, data: st.DataObject) -> None:
    packets = data.draw(CONVERSATIONS[version][role])
    outcome = feed_every_way(written(packets, version), role, opened=False, version=version)
    assert outcome.packets == tuple(packets)
    assert outcome.fault is None
    assert outcome.version is version


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_server_of_both_learns_the_version(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(Version))
    packets = data.draw(CONVERSATIONS[version][Role.SERVER])
    outcome = feed_every_way(written(packets, version), Role.SERVER, opened=False, version=None)
    assert (outcome.packets, outcome.fault, outcome.version) == (tuple(packets), None, version)


@pytest.mark.slow
@BOTH_VERSIONS
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_has_one_outcome_in_any_split(version: Version, data: st.DataObject) -> None:
    role, stream = data.draw(damaged(version))
    feed_every_way(stream, role, opened=False, version=version)
    if role is Role.SERVER:
        feed_every_way(stream, role, opened=False, version=None)


def accepted(reader: Reader, data: bytes) -> list[Packet]:
    try:
        return reader.feed(data)
    except StreamFault as fault:
        return list(fault.before)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(damaged(Version.MQTT_3_1_1))
def test_what_is_accepted_has_one_spelling(stream: tuple[Role, bytes]) -> None:
    role, data = stream
    packets = accepted(Reader(BOUND, role), data)
    assert data.startswith(written(packets, Version.MQTT_3_1_1))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(damaged(Version.MQTT_5))
def test_what_is_accepted_of_5_keeps_its_meaning(stream: tuple[Role, bytes]) -> None:
    """5.0 leaves the order of properties open, and whether a reason of 0 is written."""
    role, data = stream
    packets = accepted(Reader(BOUND, role, Version.MQTT_5, alias_max=ALIASES), data)
    again = Reader(2 * BOUND, role, Version.MQTT_5, alias_max=ALIASES)
    assert again.feed(written(packets, Version.MQTT_5)) == packets


@pytest.mark.parametrize("role", Role)
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=64))
def test_any_bytes_are_packets_or_a_fault(role: Role, data: bytes) -> None:
    for reader in (Reader(BOUND, role), new_reader(role)):
        assert data.startswith(written(accepted(reader, data), Version.MQTT_3_1_1))
    for reader in (Reader(BOUND, role, Version.MQTT_5), new_reader(role, version=Version.MQTT_5)):
        accepted(reader, data)
