from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence.entry import Entry, parse_entry, render_entry
from troth.limits import JOURNAL_ENTRY_BYTES_MAX

scalars = st.none() | st.booleans() | st.integers() | st.text()
data = st.dictionaries(
    st.text(), st.recursive(scalars, lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=5)
)
entries = st.builds(
    Entry,
    number=st.integers(1, 2**63 - 1),
    at=st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    actor=st.text(),
    kind=st.text(),
    subject=st.text(),
    data=data,
    why=st.text(),
    head=st.binary(min_size=32, max_size=32),
)
SAMPLE = Entry(
    number=7,
    at=datetime(2026, 6, 1, 12, 0, 0, 5, tzinfo=UTC),
    actor="operator:cli",
    kind="thing.created",
    subject="lamp-1",
    data={"thing": "lamp-1", "attributes": {"room": "küche"}},
    why="spring",
    head=bytes(range(32)),
)
SAMPLE_BODY = (
    b'{"actor":"operator:cli","at":"2026-06-01T12:00:00.000005Z",'
    b'"data":{"attributes":{"room":"k\\u00fcche"},"thing":"lamp-1"},'
    b'"head":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",'
    b'"kind":"thing.created","number":7,"subject":"lamp-1","why":"spring"}'
)


def test_the_bytes_of_an_entry_never_change() -> None:
    """A change here breaks every proof made of older entries."""
    assert render_entry(SAMPLE) == SAMPLE_BODY
    assert parse_entry(SAMPLE_BODY) == SAMPLE


@settings(max_examples=60)
@given(entries)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    body = render_entry(entry)
    assert body.isascii()
    assert parse_entry(body) == entry


def test_one_moment_has_one_form() -> None:
    there = replace(SAMPLE, at=SAMPLE.at.astimezone(timezone(timedelta(hours=2))))
    assert render_entry(there) == SAMPLE_BODY


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(PeerFault):
        parse_entry(body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"number":7', b'"number":"7"'),
        (b'"number":7', b'"number":true'),
        (b'"number":7', b'"number":7.0'),
        (b'"number":7', b'"number": 7'),
        (b'"head":"AAEC', b'"head":"A'),
        (b"Hh8=", b"Hh9="),
        (b'"why":"spring"', b'"why":null'),
        (b'"why":"spring"', b'"why":"spring","more":1'),
        (b'"why":"spring"', b'"why":"autumn","why":"spring"'),
        (b"k\\u00fcche", "küche".encode()),
        (b".000005Z", b".000005+00:00"),
        (b".000005Z", b".000005"),
        (b"2026-06-01T12:00:00.000005Z", b"9999-12-31T23:59:59.999999-23:59"),
        (b'"thing":"lamp-1"', b'"thing":7.0'),
        (b'"thing":"lamp-1"', b'"thing":NaN'),
        (b'{"attributes":{"room":"k\\u00fcche"},"thing":"lamp-1"}', b"[]"),
    ],
)
def test_another_spelling_is_refused(old: bytes, new: bytes) -> None:
    assert old in SAMPLE_BODY
    with pytest.raises(Fault) as caught:
        parse_entry(SAMPLE_BODY.replace(old, new))
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize("value", [1.5, b"bytes", {1: "a"}, SAMPLE.at, {"deep": [object()]}])
def test_what_json_cannot_say_exactly_is_a_bug(value: object) -> None:
    with pytest.raises(Bug):
        render_entry(replace(SAMPLE, data={"value": value}))


def test_an_entry_is_bounded() -> None:
    with pytest.raises(Fault) as caught:
        render_entry(replace(SAMPLE, data={"text": "x" * JOURNAL_ENTRY_BYTES_MAX}))
    assert caught.value.kind is Kind.TOO_LARGE
