"""What is put into an envelope comes out of it, and what a device sends comes out as it was, whatever it looks like."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.gateway.mqtt.envelope import (
    MARK,
    Content,
    escape,
    escaped,
    expiry_ms,
    is_expired,
    is_sealed,
    left_s,
    open_envelope,
    origin_of,
    seal,
)
from troth.protocols.mqtt import Properties, Publish, build_publish
from troth.testing.clock import FakeClock

TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)


def said(fields: dict[str, Any]) -> Properties:
    return Properties(**fields)


PROPERTIES = st.fixed_dictionaries(
    {
        "payload_is_text": st.sampled_from([None, True, False]),
        "message_expiry_s": st.none() | st.integers(0, 0xFFFF_FFFF),
        "content_type": st.none() | TEXTS,
        "correlation_data": st.none() | st.binary(max_size=8),
        "user_properties": st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    }
).map(said)
CONTENTS = st.tuples(
    st.binary(max_size=32),
    PROPERTIES,
    st.sampled_from([b"", origin_of("5a" * 32)]),
    st.none() | st.integers(0, 2**63 - 1),
).map(Content._make)
# What an attacker would try: marks, lengths and pieces of envelopes in any order.
FORGED = st.lists(
    st.sampled_from([MARK, MARK[:-1], b"\0", b"\x00\x00\x00\x01", b"\x00\x00\x00\x02", b"\x03", b"\xff" * 4])
    | st.binary(max_size=6)
    | CONTENTS.map(seal),
    max_size=6,
).map(b"".join)


def message(payload: bytes) -> Publish:
    return build_publish("a", payload, qos=1, packet_id=5, retain=True)


@given(CONTENTS)
def test_what_goes_in_comes_out(content: Content) -> None:
    sealed = message(seal(content))
    assert is_sealed(sealed)
    assert open_envelope(sealed) == content


@given(FORGED)
def test_what_a_device_sends_is_never_taken_for_a_gateways_envelope(payload: bytes) -> None:
    sent = message(payload)
    passed = escape(sent) if is_sealed(sent) else sent
    assert passed.payload == escaped(payload)
    assert (passed.qos, passed.packet_id, passed.retain) == (1, 5, True)
    received = open_envelope(passed) if is_sealed(passed) else Content(passed.payload)
    assert received == Content(payload)


@given(FORGED)
def test_what_was_written_past_the_gateway_is_read_as_something(payload: bytes) -> None:
    content = open_envelope(message(payload + MARK))
    assert payload.startswith(content.payload) or content == Content(payload + MARK)


@pytest.mark.parametrize("payload", [b"", b"x", MARK[:-1], MARK + b"x"])
def test_what_looks_like_no_envelope_is_left_alone(payload: bytes) -> None:
    assert not is_sealed(message(payload))
    assert escaped(payload) == payload


def test_a_short_packet_is_no_envelope_by_its_topic() -> None:
    assert not is_sealed(build_publish("a\xf5troth", b""))


def test_time_is_counted_from_its_arrival() -> None:
    clock = FakeClock()
    content = Content(b"x", expires_ms=expiry_ms(clock, 10))
    assert left_s(content, clock) == 10
    clock.advance(timedelta(seconds=9, milliseconds=1))
    assert left_s(content, clock) == 1
    assert not is_expired(content, clock)
    clock.advance(timedelta(milliseconds=999))
    assert is_expired(content, clock)
    assert left_s(Content(b"x", Properties(message_expiry_s=7)), clock) == 7
    assert left_s(Content(b"x"), clock) is None
