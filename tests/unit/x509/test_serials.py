import pytest
from cryptography.hazmat import asn1
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Bug
from troth.x509.serials import RANDOM_OCTETS, SHARDS_MAX, make_serial, shard_of

shards = st.integers(0, SHARDS_MAX - 1)
randoms = st.binary(min_size=RANDOM_OCTETS, max_size=RANDOM_OCTETS)


@given(shards, randoms)
def test_a_serial_number_carries_its_shard(shard: int, random: bytes) -> None:
    serial = make_serial(shard, random)
    assert shard_of(serial) == shard
    assert serial > 0
    assert asn1.encode_der(serial) == b"\x02\x10\x01" + shard.to_bytes(2, "big") + random


@given(st.integers(0, (1 << 160) - 1).filter(lambda serial: serial >> 120 != 1))
def test_a_number_made_elsewhere_is_in_the_first_shard(serial: int) -> None:
    assert shard_of(serial) == 0


@pytest.mark.parametrize(("shard", "octets"), [(-1, 13), (SHARDS_MAX, 13), (0, 12), (0, 14)])
def test_parts_that_do_not_fit_are_refused(shard: int, octets: int) -> None:
    with pytest.raises(Bug):
        make_serial(shard, bytes(octets))
