"""Renewal times as they travel."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.limits import RENEWAL_INFO_BYTES_MAX
from troth.protocols.renewal_info import Window, parse_renewal_info, render_renewal_info

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(hours=3))


def test_it_is_as_acme_has_it() -> None:
    text = '{"suggestedWindow": {"start": "2026-06-01T12:00:00Z", "end": "2026-06-01T15:00:00Z"}}'
    assert render_renewal_info(WINDOW) == text.encode()
    assert parse_renewal_info(text.encode()) == WINDOW


def test_other_zones_and_unknown_members_are_let_pass() -> None:
    text = b'{"x": 1, "suggestedWindow": {"start": "2026-06-01T14:00:00+02:00", "end": "2026-06-01T15:00:00Z", "y": 2}}'
    assert parse_renewal_info(text) == WINDOW


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"suggestedWindow": 1}',
        b'{"suggestedWindow": {"start": "2026-06-01T12:00:00", "end": "2026-06-01T15:00:00Z"}}',
        b'{"suggestedWindow": {"start": "2026-06-01T16:00:00Z", "end": "2026-06-01T15:00:00Z"}}',
        b'{"suggestedWindow": {"start": 1, "end": 2}}',
        b'{"suggestedWindow": {"start": "0001-01-01T00:00:00+20:00", "end": "2026-06-01T15:00:00Z"}}',
        b"[" * 4000,
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_renewal_info(text)
    assert caught.value.kind is Kind.MALFORMED


def test_it_is_bounded() -> None:
    padded = render_renewal_info(WINDOW).ljust(RENEWAL_INFO_BYTES_MAX)
    assert parse_renewal_info(padded) == WINDOW
    with pytest.raises(PeerFault, match="over"):
        parse_renewal_info(padded + b" ")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_window_or_a_fault(data: bytes) -> None:
    with contextlib.suppress(PeerFault):
        parse_renewal_info(data)
