import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.x509.pem import is_pem, parse_pem, render_pem

ONE = render_pem("THING", b"content")


def test_explanatory_text_stands_outside_the_blocks() -> None:
    text = b"subject=CN = a\r\n" + ONE.replace(b"\n", b"\r\n") + b"\nissuer=CN = b\n" + ONE
    assert parse_pem(text, "THING", blocks_max=2) == [b"content", b"content"]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.MALFORMED),
        (b"nothing here", Kind.MALFORMED),
        (ONE + ONE, Kind.TOO_LARGE),
        (render_pem("OTHER", b"content"), Kind.MALFORMED),
        (ONE + render_pem("PRIVATE KEY", b"content"), Kind.MALFORMED),
        (ONE.replace(b"-----END", b"---- END"), Kind.MALFORMED),
        (ONE.replace(b"END THING", b"END THINGS"), Kind.MALFORMED),
        (b"-----BEGIN THING", Kind.MALFORMED),
        (ONE.replace(b"Y29u", b"Y2*u"), Kind.MALFORMED),
        (ONE.replace(b"Y29u", b"Y29u=A"), Kind.MALFORMED),
    ],
)
def test_what_is_not_strictly_pem_is_refused(data: bytes, kind: Kind) -> None:
    with pytest.raises(PeerFault) as caught:
        parse_pem(data, "THING", blocks_max=1)
    assert caught.value.kind is kind


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4))
def test_what_is_written_is_read(contents: list[bytes]) -> None:
    text = b"".join(render_pem("A B", content) for content in contents)
    assert is_pem(text)
    assert all(len(line) <= 64 for line in text.split(b"\n"))
    assert parse_pem(text, "A B", blocks_max=4) == contents


@given(st.lists(st.sampled_from([b"-----BEGIN ", b"-----END ", b"THING", b"-----", b"\n", b"QUJD", b"x"]), max_size=40))
def test_any_pieces_are_read_or_refused(pieces: list[bytes]) -> None:
    with contextlib.suppress(PeerFault):
        assert parse_pem(b"".join(pieces), "THING", blocks_max=3)
