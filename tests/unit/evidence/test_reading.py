from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evidence.readings import KEY, NOON, READING, SIGNED

from troth.errors import Bug, Fault, Kind, PeerFault
from troth.evidence.cose import byte_string, item
from troth.evidence.reading import Reading, looks_signed, parse_reading, sign_reading
from troth.keys.file import generate
from troth.limits import READING_BYTES_MAX, READING_SEQUENCE_MAX, READING_TOPIC_BYTES_MAX
from troth.x509.algorithms import KeyAlgorithm

OTHER = generate(KeyAlgorithm.P256).public_key

readings = st.builds(
    Reading,
    key_id=st.binary(min_size=32, max_size=32),
    thing=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
    topic=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    at=st.integers(0, (1 << 32) - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    sequence=st.integers(1, READING_SEQUENCE_MAX),
    payload=st.binary(max_size=300),
)


@given(readings)
def test_what_is_signed_is_read_again(reading: Reading) -> None:
    signed = parse_reading(sign_reading(reading, KEY))
    assert signed.reading == reading
    assert signed.is_signed_by(KEY.public_key)
    assert not signed.is_signed_by(OTHER)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.ED25519])
def test_each_kind_of_key_signs_by_its_own_algorithm(algorithm: KeyAlgorithm) -> None:
    key = generate(algorithm)
    signed = parse_reading(sign_reading(READING, key))
    assert signed.is_signed_by(key.public_key)
    for other in (KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048):
        assert not signed.is_signed_by(generate(other).public_key)


def test_a_key_of_another_kind_signs_nothing() -> None:
    with pytest.raises(Fault) as caught:
        sign_reading(READING, generate(KeyAlgorithm.RSA2048))
    assert caught.value.kind is Kind.BAD_KEY


@given(st.data())
def test_no_bit_can_be_changed(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 8 * len(SIGNED) - 1))
    changed = bytearray(SIGNED)
    changed[place // 8] ^= 1 << place % 8
    with suppress(PeerFault):
        assert not parse_reading(bytes(changed)).is_signed_by(KEY.public_key)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: bytes.fromhex("d284") + tail))
def test_any_bytes_are_a_reading_or_a_fault(data: bytes) -> None:
    with suppress(PeerFault):
        parse_reading(data)
        assert looks_signed(data)


@pytest.mark.parametrize("end", range(0, len(SIGNED), 7))
def test_no_beginning_of_a_reading_is_one(end: int) -> None:
    with pytest.raises(PeerFault):
        parse_reading(SIGNED[:end])


def header(*pairs: bytes) -> bytes:
    return item(5, len(pairs)) + b"".join(pairs)


ALG = b"\x01\x26"
KID = b"\x04" + byte_string(READING.key_id)
CLAIMS = b"\x0f\xa3\x02\x67meter-7\x03\x61t\x06\x1a\x6a\x1d\x60\xc0"
NUMBER = bytes.fromhex("3a00010000") + b"\x01"


def signed_by_hand(protected: bytes, unprotected: bytes = b"\xa0", tail: bytes = b"") -> bytes:
    """Return what anybody could make who has the key and another idea of COSE."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    external, payload = byte_string(b"troth-reading-1"), byte_string(b"x")
    r, s = decode_dss_signature(KEY.sign(b"\x84\x6aSignature1" + byte_string(protected) + external + payload))
    signature = byte_string(r.to_bytes(32) + s.to_bytes(32))
    return b"\xd2\x84" + byte_string(protected) + unprotected + payload + signature + tail


def test_a_reading_made_by_hand_is_read() -> None:
    signed = parse_reading(signed_by_hand(header(ALG, KID, CLAIMS, NUMBER)))
    assert signed.is_signed_by(KEY.public_key)
    assert (signed.reading.thing, signed.reading.topic, signed.reading.sequence) == ("meter-7", "t", 1)


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("the algorithm is missing", signed_by_hand(header(KID, CLAIMS, NUMBER))),
        ("the algorithm is not protected", signed_by_hand(header(KID, CLAIMS, NUMBER), b"\xa1\x01\x26")),
        ("the key id is missing", signed_by_hand(header(ALG, CLAIMS, NUMBER))),
        ("the key id is not protected", signed_by_hand(header(ALG, CLAIMS, NUMBER), b"\xa1" + KID)),
        ("the number is missing", signed_by_hand(header(ALG, KID, CLAIMS))),
        ("a critical parameter", signed_by_hand(header(ALG, b"\x02\x81\x19\x03\xe7", KID, CLAIMS, NUMBER))),
        ("a parameter more", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER, b"\x3a\x00\x01\x00\x01\x01"))),
        ("a parameter beside", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER), b"\xa1\x09\x01")),
        ("a parameter twice", signed_by_hand(header(ALG, ALG, KID, CLAIMS, NUMBER))),
        ("another order", signed_by_hand(header(KID, ALG, CLAIMS, NUMBER))),
        ("a long spelling", signed_by_hand(header(b"\x18\x01\x26", KID, CLAIMS, NUMBER))),
        ("a long number", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER[:-1] + b"\x18\x01"))),
        ("a long time", signed_by_hand(header(ALG, KID, CLAIMS.replace(b"\x06\x1a", b"\x06\x1b" + bytes(4)), NUMBER))),
        ("a long topic", signed_by_hand(header(ALG, KID, CLAIMS.replace(b"\x61t", b"\x78\x01t"), NUMBER))),
        ("a long payload", SIGNED.replace(b"\x4e" + READING.payload, b"\x58\x0e" + READING.payload)),
        ("an indefinite map", signed_by_hand(b"\xbf" + ALG + KID + CLAIMS + NUMBER + b"\xff")),
        ("the number zero", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER[:-1] + b"\x00"))),
        ("a negative number", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER[:-1] + b"\x20"))),
        ("bytes behind the header", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER) + b"\x00")),
        ("bytes behind the end", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER), tail=b"\x00")),
        ("no tag", signed_by_hand(header(ALG, KID, CLAIMS, NUMBER))[1:]),
        ("another tag", b"\xd1" + signed_by_hand(header(ALG, KID, CLAIMS, NUMBER))[1:]),
        ("HMAC", signed_by_hand(header(b"\x01\x05", KID, CLAIMS, NUMBER))),
        ("an algorithm of RSA", signed_by_hand(header(b"\x01\x38\x24", KID, CLAIMS, NUMBER))),
        ("a huge length", bytes.fromhex("d2845b7fffffffffffffff")),
        ("a deep array", b"\xd2\x84" + b"\x81" * 10_000),
        ("a huge reading", SIGNED + bytes(READING_BYTES_MAX)),
        ("a huge header", b"\xd2\x84\x5a\x00\x01\x00\x00" + bytes(70_000)),
        ("no text", signed_by_hand(header(ALG, KID, CLAIMS.replace(b"\x61t", b"\x61\xff"), NUMBER))),
        ("no topic", signed_by_hand(header(ALG, KID, CLAIMS.replace(b"\x61t", b"\x60"), NUMBER))),
    ],
)
def test_whatever_is_not_exactly_a_reading_is_refused(what: str, data: bytes) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_reading(data)
    assert caught.value.kind in {Kind.MALFORMED, Kind.UNSUPPORTED, Kind.TOO_LARGE}, what


def test_another_algorithm_than_the_keys_counts_for_nothing() -> None:
    confused = parse_reading(signed_by_hand(header(b"\x01\x27", KID, CLAIMS, NUMBER)))
    assert not confused.is_signed_by(KEY.public_key)


def test_a_signature_without_our_context_counts_for_nothing() -> None:
    changed = parse_reading(SIGNED)
    from troth.evidence import cose

    assert cose.is_signed(changed.sign1, changed.algorithm, b"troth-reading-1", KEY.public_key)
    assert not cose.is_signed(changed.sign1, changed.algorithm, b"", KEY.public_key)


def test_a_reading_takes_few_bytes_beside_payload_and_names() -> None:
    assert len(SIGNED) - len(READING.payload) - len(READING.topic) - len("meter-7") <= 134


@pytest.mark.parametrize(
    "wrong",
    [
        replace(READING, key_id=b"short"),
        replace(READING, sequence=0),
        replace(READING, sequence=READING_SEQUENCE_MAX + 1),
        replace(READING, thing=""),
        replace(READING, at=datetime(1969, 12, 31, tzinfo=UTC)),
        replace(READING, at=NOON.replace(year=2200)),
    ],
)
def test_what_no_reading_can_say_is_a_bug(wrong: Reading) -> None:
    with pytest.raises(Bug):
        sign_reading(wrong, KEY)


def test_what_is_too_large_is_not_signed() -> None:
    for wrong in (replace(READING, topic="t" * (READING_TOPIC_BYTES_MAX + 1)), replace(READING, topic="")):
        with pytest.raises(Fault) as caught:
            sign_reading(wrong, KEY)
        assert caught.value.kind is Kind.TOO_LARGE
    with pytest.raises(Fault):
        sign_reading(replace(READING, payload=bytes(READING_BYTES_MAX)), KEY)
