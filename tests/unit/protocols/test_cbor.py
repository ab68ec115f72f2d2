"""CBOR: the RFC's own examples, as much as is read here, and any bytes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from troth.errors import Bug, Kind, PeerFault
from troth.protocols.cbor import DEPTH_MAX, Value, parse_cbor, render_cbor

# RFC 8949, appendix A: those examples whose types are read here.
EXAMPLES: list[tuple[Value, str]] = [
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ({}, "a0"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}, "a56161614161626142616361436164614461656145"),
]
# And those whose types are not, with what is wrong with each.
REFUSED = [
    ("40", Kind.UNSUPPORTED),  # a byte string
    ("4401020304", Kind.UNSUPPORTED),
    ("80", Kind.UNSUPPORTED),  # an array
    ("83010203", Kind.UNSUPPORTED),
    ("c249010000000000000000", Kind.UNSUPPORTED),  # a tag: bignum
    ("c11a514b67b0", Kind.UNSUPPORTED),
    ("f4", Kind.UNSUPPORTED),  # false
    ("f6", Kind.UNSUPPORTED),  # null
    ("f93c00", Kind.UNSUPPORTED),  # 1.0
    ("5f42010243030405ff", Kind.UNSUPPORTED),  # indefinite lengths
    ("7f657374726561646d696e67ff", Kind.UNSUPPORTED),
    ("bf61610161629f0203ffff", Kind.UNSUPPORTED),
    ("a201020304", Kind.MALFORMED),  # keys that are no text
    ("a2616101616102", Kind.MALFORMED),  # a key twice
    ("", Kind.MALFORMED),
    ("0000", Kind.MALFORMED),  # two items
    ("18", Kind.MALFORMED),
    ("1c", Kind.UNSUPPORTED),  # reserved
    ("62ff00", Kind.MALFORMED),  # no UTF-8
    ("63edA080", Kind.MALFORMED),  # half a character
    ("7bffffffffffffffff", Kind.MALFORMED),  # more text than there is
    ("bbffffffffffffffff", Kind.MALFORMED),  # more pairs than there are
]

values: st.SearchStrategy[Value] = st.recursive(
    st.integers(-(1 << 64), (1 << 64) - 1) | st.text(max_size=300),
    lambda inner: st.dictionaries(st.text(max_size=40), inner, max_size=5),
    max_leaves=20,
)


def depth(value: Value) -> int:
    if isinstance(value, int | str):
        return 0
    return 1 + max((depth(each) for each in value.values()), default=0)


@pytest.mark.parametrize(("value", "encoded"), EXAMPLES)
def test_the_examples_of_the_rfc(value: Value, encoded: str) -> None:
    assert parse_cbor(bytes.fromhex(encoded)) == value
    assert render_cbor(value) == bytes.fromhex(encoded)


@pytest.mark.parametrize(("encoded", "kind"), REFUSED)
def test_what_is_not_read_is_refused(encoded: str, kind: Kind) -> None:
    with pytest.raises(PeerFault) as refused:
        parse_cbor(bytes.fromhex(encoded))
    assert refused.value.kind is kind


def test_a_longer_argument_than_needed_is_read_and_not_written() -> None:
    assert parse_cbor(bytes.fromhex("190017")) == parse_cbor(b"\x17") == 23
    assert parse_cbor(bytes.fromhex("7a00000001" + "61")) == "a"


def test_keys_are_written_in_the_order_of_their_bytes() -> None:
    # RFC 8949, 4.2.1: by the encoded key, so shorter before longer.
    assert render_cbor({"bb": 1, "c": 2, "a": 3}) == bytes.fromhex("a3616103616302626262" + "01")


def test_depth_is_bounded() -> None:
    at_most = b"\xa1\x61a" * (DEPTH_MAX - 1) + b"\xa0"
    assert parse_cbor(at_most) is not None
    with pytest.raises(PeerFault) as deeper:
        parse_cbor(b"\xa1\x61a" + at_most)
    assert deeper.value.kind is Kind.TOO_LARGE
    with pytest.raises(PeerFault):
        parse_cbor(b"\xa1\x61a" * 100_000)
    with pytest.raises(PeerFault):
        parse_cbor(b"\xa1" * 100_000)


def test_a_number_beyond_64_bits_is_our_own_mistake() -> None:
    with pytest.raises(Bug):
        render_cbor(1 << 64)


@given(values)
def test_what_is_written_is_read_again(value: Value) -> None:
    encoded = render_cbor(value)
    if depth(value) > DEPTH_MAX:
        with pytest.raises(PeerFault):
            parse_cbor(encoded)
    else:
        assert parse_cbor(encoded) == value


@given(st.binary(max_size=200) | values.map(render_cbor).flatmap(lambda raw: st.just(raw[:-1])))
@example(b"\xa2\x61a\x01\x61a\x01")
def test_any_bytes_are_a_value_or_a_fault(data: bytes) -> None:
    try:
        value = parse_cbor(data)
    except PeerFault:
        return
    assert parse_cbor(render_cbor(value)) == value
