"""DER is read by its rules and no others, and written as `cryptography` writes it."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography.hazmat import asn1
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Bug, Kind, PeerFault
from troth.x509.der import BOOLEAN, OCTET_STRING, SEQUENCE, Reader, generalized_time, integer, tlv


@given(st.binary(max_size=70_000))
def test_what_is_written_is_read(content: bytes) -> None:
    written = tlv(OCTET_STRING, content)
    assert written == asn1.encode_der(content)
    reader = Reader(tlv(SEQUENCE, written, written)).inside(SEQUENCE)
    assert reader.whole(OCTET_STRING) == written
    assert reader.content(OCTET_STRING) == content
    assert reader.tag is None
    reader.finish()


@given(st.integers(-(2**200), 2**200))
def test_integers(value: int) -> None:
    assert integer(value) == asn1.encode_der(value)
    assert Reader(integer(value)).integer() == value


def test_times_are_in_whole_seconds_of_utc() -> None:
    assert generalized_time(datetime(2050, 1, 2, 3, 4, 5, 999_999, UTC))[2:] == b"20500102030405Z"
    assert generalized_time(datetime(970, 1, 2, 3, 4, 5, 0, UTC))[2:] == b"09700102030405Z"
    with pytest.raises(Bug):
        generalized_time(datetime(2050, 1, 2))  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing"),
        ("30", "no length"),
        ("3001", "a length beyond the end"),
        ("3080020100", "an indefinite length"),
        ("30810102", "a length that fits a shorter form"),
        ("3082000102", "a length with a leading zero"),
        ("30850000000001", "a length of five octets"),
        ("3084ffffffff", "a length of four GiB"),
        ("308202", "half a length"),
        ("0200", "another tag"),
        ("3f8101", "a tag of several octets"),
    ],
)
def test_what_is_no_der_is_refused(text: str, why: str) -> None:
    with pytest.raises(PeerFault) as caught:
        Reader(bytes.fromhex(text)).content(SEQUENCE)
    assert caught.value.kind is Kind.MALFORMED, why


@pytest.mark.parametrize("text", ["0200", "02020001", "0202ffff"])
def test_an_integer_has_one_form(text: str) -> None:
    with pytest.raises(PeerFault):
        Reader(bytes.fromhex(text)).integer()


def test_a_boolean_is_true_or_false() -> None:
    assert Reader(tlv(BOOLEAN, b"\xff")).boolean()
    assert not Reader(tlv(BOOLEAN, b"\x00")).boolean()
    for content in (b"", b"\x01", b"\xff\xff"):
        with pytest.raises(PeerFault):
            Reader(tlv(BOOLEAN, content)).boolean()


def test_nothing_may_follow_the_end() -> None:
    reader = Reader(integer(1) + b"\x00")
    reader.skip()
    with pytest.raises(PeerFault):
        reader.finish()


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(PeerFault):
        reader = Reader(data)
        while reader.tag is not None:
            reader.skip()
        reader.finish()
