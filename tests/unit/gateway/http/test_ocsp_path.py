"""Every shape in which the request of a GET arrives stands for the same request."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.gateway.http.ocsp_path import candidates
from troth.limits import OCSP_REQUEST_BYTES_MAX

# In base64 it has two slashes in a row, a plus, and padding.
REQUEST = b"\x30\x10\x41\xff\xf0\x41\xfb\xef\xbe\x00"
TEXT = base64.b64encode(REQUEST)


def test_the_sample_is_an_awkward_one() -> None:
    assert b"//" in TEXT
    assert b"+" in TEXT


@pytest.mark.parametrize(
    "path",
    [
        b"/" + TEXT,
        b"/" + quote(TEXT, safe="").encode(),
        b"/" + TEXT.replace(b"/", b"%2f").replace(b"+", b"%2b"),
        b"//" + TEXT,
        TEXT,
        b"/" + TEXT.rstrip(b"="),
    ],
)
def test_the_likeliest_reading_comes_first(path: bytes) -> None:
    assert next(candidates(path)) == REQUEST


def test_a_slash_behind_is_taken_off() -> None:
    assert REQUEST in candidates(b"/" + TEXT + b"/")
    assert REQUEST in candidates(b"/" + TEXT.rstrip(b"=") + b"/")


def test_slashes_that_a_proxy_has_merged_are_put_back() -> None:
    assert REQUEST in candidates(b"/" + TEXT.replace(b"//", b"/", 1))


@given(st.binary(min_size=1, max_size=300).map(lambda tail: b"\x30" + tail))
def test_any_request_arrives(request: bytes) -> None:
    text = base64.b64encode(request)
    assert next(candidates(b"/" + text)) == request
    assert next(candidates(b"/" + quote(text, safe="").encode())) == request
    if text.count(b"//") == 1 and b"///" not in text and text.count(b"/") <= 8:
        assert request in candidates(b"/" + text.replace(b"//", b"/"))


@given(st.binary(max_size=200))
def test_any_path_stands_for_a_few_things_at_most(path: bytes) -> None:
    assert len(list(candidates(path))) <= 10


def test_a_path_has_a_bound() -> None:
    assert list(candidates(b"A" * 4 * OCSP_REQUEST_BYTES_MAX))
    assert not list(candidates(b"A" * (4 * OCSP_REQUEST_BYTES_MAX + 4)))
