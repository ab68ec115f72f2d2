"""Records are counted the same however the stream is cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from troth.tls.records import RecordCounter


def record(size: int) -> bytes:
    return b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size)


SIZES = st.lists(st.one_of(st.integers(0, 40), st.integers(16_000, 16_640)), max_size=12)


@given(SIZES, st.integers(0, 60), st.lists(st.integers(0, 50_000), max_size=12))
def test_counts_the_same_however_cut(sizes: list[int], unfinished: int, cuts: list[int]) -> None:
    stream = b"".join(map(record, sizes)) + record(100)[:unfinished]
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    counter = RecordCounter()
    assert sum(counter.count(stream[start:end]) for start, end in pairwise(places)) == len(sizes)


@given(SIZES)
def test_counts_byte_by_byte_and_from_a_view(sizes: list[int]) -> None:
    stream = b"".join(record(size % 50) for size in sizes)
    counter = RecordCounter()
    ended = [counter.count(stream[at : at + 1]) for at in range(len(stream))]
    assert sum(ended) == len(sizes)
    assert RecordCounter().count(memoryview(stream)) == len(sizes)


@given(st.binary(max_size=200))
def test_any_bytes_are_counted(data: bytes) -> None:
    assert 0 <= RecordCounter().count(data) <= len(data) // 5
