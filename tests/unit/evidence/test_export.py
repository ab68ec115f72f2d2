import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.evidence.logs import VERIFIER, log_of

from troth.errors import Kind, PeerFault
from troth.evidence.export import LINE_BYTES_MAX, ExportHead, read_head, read_rows, render_end, render_head, render_row
from troth.limits import CHECKPOINTS_KEPT_MAX

LOG = log_of(5)
NOTES = [log_of(3).sign().note, LOG.sign().note]


def export(rows: Sequence[tuple[bytes, bytes]], notes: Sequence[bytes] = NOTES) -> bytes:
    lines = [*render_head(VERIFIER, len(rows), iter(notes)), *(render_row(body, nodes[:32]) for body, nodes in rows)]
    return b"".join([*lines, render_end(len(rows))])


def read(data: bytes) -> tuple[ExportHead, list[tuple[bytes, bytes]]]:
    file = io.BytesIO(data)
    head, line = read_head(file.readline)
    return head, list(read_rows(file.readline, line))


WHOLE = export(LOG.rows)


def test_an_export_comes_back_as_it_was() -> None:
    head, rows = read(WHOLE)
    assert (head.key, head.size) == (VERIFIER, 5)
    assert [each.note for each in head.checkpoints] == NOTES
    assert rows == [(body, nodes[:32]) for body, nodes in LOG.rows]


def test_an_entry_is_a_line_of_its_own_bytes() -> None:
    assert b" " + LOG.rows[2][0] + b"\n" in WHOLE


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(min_size=32, max_size=32)), max_size=4))
def test_whatever_stands_in_a_row_is_exported(rows: list[tuple[bytes, bytes]]) -> None:
    assert read(export(rows))[1] == rows


def test_a_hash_that_is_none_is_exported_as_zeros() -> None:
    assert read(export([(LOG.rows[0][0], b"short")]))[1] == [(LOG.rows[0][0], bytes(32))]


@pytest.mark.parametrize("lines", range(len(WHOLE.splitlines())))
def test_an_export_cut_off_is_not_taken_for_a_log_cut_off(lines: int) -> None:
    cut = b"".join(WHOLE.splitlines(keepends=True)[:lines])
    for data in (cut, cut + b"entry"):
        with pytest.raises(PeerFault) as caught:
            read(data)
        assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"export 1\n", b"export 2\n"),
        (b"size 5", b"size 05"),
        (b"size 5", b"size five"),
        (b"key home", b"kex home"),
        (b"end 5", b"end 4"),
        (b"end 5\n", b"end 5\nmore\n"),
        (b"checkpoint a", b"checkpoint *"),
        (b"entry ", b"entry *"),
        (b"entry ", "entré ".encode()),
    ],
)
def test_another_spelling_is_refused(old: bytes, new: bytes) -> None:
    assert old in WHOLE
    with pytest.raises(PeerFault):
        read(WHOLE.replace(old, new, 1))


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_any_bytes_are_read_or_refused(data: bytes, at: int) -> None:
    for whole in (data, WHOLE[:at] + data, WHOLE[:at] + data + WHOLE[at:]):
        if whole != WHOLE:
            try:
                read(whole)
            except PeerFault:
                continue


def test_lines_and_checkpoints_are_bounded() -> None:
    long = WHOLE.replace(b"entry ", b"entry " + b"x" * LINE_BYTES_MAX, 1)
    many = export(LOG.rows, NOTES[:1] * (CHECKPOINTS_KEPT_MAX + 1))
    for data in (long, many):
        with pytest.raises(PeerFault) as caught:
            read(data)
        assert caught.value.kind is Kind.TOO_LARGE
