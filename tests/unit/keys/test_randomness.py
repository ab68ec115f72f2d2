import re

from cryptography.hazmat import asn1

from troth.keys.randomness import random_bytes, random_id, random_serial, random_token


def test_serial_numbers_are_positive_and_of_one_length() -> None:
    serials = {random_serial() for _ in range(300)}
    assert len(serials) == 300
    assert {len(asn1.encode_der(serial)) for serial in serials} == {2 + 16}
    assert all(serial > 0 for serial in serials)
    # every bit below the mark and the shard takes both values
    assert {bit for bit in range(128) if len({serial >> bit & 1 for serial in serials}) == 1} == set(range(104, 128))


def test_tokens_and_ids_have_128_bits() -> None:
    assert len({random_token() for _ in range(100)}) == 100
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", random_token())
    assert re.fullmatch(r"[0-9a-f]{32}", random_id())
    assert random_id() != random_id()
    assert len(random_bytes(7)) == 7
