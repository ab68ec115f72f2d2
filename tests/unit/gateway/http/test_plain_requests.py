"""Only the plainest request is taken at a glance: all else goes to the parser that knows the whole of HTTP."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.gateway.http.plain_requests import body_of, path_of

PLAIN = b"GET /ocsp/MFEwTzBN%2B HTTP/1.1\r\nHost: home.example:8080\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n"


def test_a_plain_get_is_seen() -> None:
    assert path_of(PLAIN, b"/ocsp/") == b"/ocsp/MFEwTzBN%2B"
    assert path_of(b"GET /ocsp/M HTTP/1.1\r\nHOST:x\r\n\r\n", b"/ocsp/") == b"/ocsp/M"


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        (b"GET", b"HEAD"),
        (b"GET", b"get"),
        (b"/ocsp/", b"/crl/"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b" HTTP/1.1", b"\tHTTP/1.1"),
        (b"%2B HTTP", b"%2B x HTTP"),
        (b"Host: home.example:8080\r\n", b""),
        (b"Host:", b"Host: a\r\nHost:"),
        (b"Accept:", b"Accept :"),
        (b"Accept: */*", b"Accept"),
        (b"Host: home.example:8080", b"Host"),
        (b"%2B HTTP", b"%2B\x7f HTTP"),
        (b"%2B HTTP", b"%2B\xff HTTP"),
        (b"Accept:", b" Accept:"),
        (b"Accept: */*", b"Content-Length: 0"),
        (b"Accept: */*", b"Transfer-Encoding: chunked"),
        (b"Accept: */*", b"Connection: close"),
        (b"Accept: */*", b"Expect: 100-continue"),
        (b"Accept: */*", b"Upgrade: h2c"),
        (b"Accept: */*", b"If-None-Match: x"),
        (b"Accept: */*", b"Range: bytes=0-1"),
        (b"Accept: */*", b"Accept: x\nContent-Length: 5"),
        (b"Accept: */*", b"Accept: x\rContent-Length: 5"),
        (b"Accept: */*", b"Accept: x\0"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n\r\n", b"\n\n"),
        (b"\r\n\r\n", b"\r\n\r\n\r\n"),
        (b"\r\n\r\n", b"\r\n\r\nGET /ocsp/M HTTP/1.1\r\nHost: x\r\n\r\n"),
        (b"Accept: */*", b"Accept: " + b"x" * 4096),
    ],
)
def test_what_is_not_plain_goes_the_long_way(changed: bytes, to: bytes) -> None:
    assert PLAIN.count(changed) >= 1
    assert path_of(PLAIN.replace(changed, to, 1), b"/ocsp/") is None


@given(st.data())
def test_what_is_seen_is_what_the_whole_parser_sees(data: st.DataObject) -> None:
    """Whatever is taken at a glance is one whole GET without a body to h11 as well, of the same target."""
    changed = bytearray(PLAIN)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(6, len(changed)))
        changed[place : place + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(WORDS))
    seen = path_of(bytes(changed), b"/ocsp/")
    if seen is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(bytes(changed))
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"GET", seen)
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)


WORDS = (b"", b"\r\n", b"\n", b"\r", b" ", b":", b"x", b"\t", b"Host: y\r\n", b"Content-Length: 3\r\n", b"\r\n\r\n")


TYPE = b"application/ocsp-request"
POST = (
    b"POST /ocsp HTTP/1.1\r\nHost: home.example:8080\r\nContent-Type: application/ocsp-request\r\n"
    b"Content-Length: 4\r\nAccept: */*\r\n\r\n0\r\n\0"
)


def test_a_plain_post_is_seen() -> None:
    assert body_of(POST, b"/ocsp", TYPE) == b"0\r\n\0"
    assert body_of(POST.replace(b"Type: ", b"Type:\t"), b"/ocsp", TYPE) == b"0\r\n\0"


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        (b"POST", b"PUT"),
        (b"/ocsp ", b"/ocsp/ "),
        (b"/ocsp ", b"/ocsp?x "),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"HTTP/1.1 "),
        (b"Host:", b"Host: a\r\nHost:"),
        (b"Host: home.example:8080\r\n", b""),
        (b"ocsp-request", b"ocsp-request; charset=x"),
        (b"ocsp-request", b"octet-stream"),
        (b"Content-Type: application/ocsp-request\r\n", b""),
        (b"Content-Length: 4\r\n", b""),
        (b"Content-Length: 4", b"Content-Length: 3"),
        (b"Content-Length: 4", b"Content-Length: 5"),
        (b"Content-Length: 4", b"Content-Length: +4"),
        (b"Content-Length: 4", b"Content-Length: 04"),
        (b"Content-Length: 4", b"Content-Length: 4, 4"),
        (b"Content-Length: 4", b"Content-Length: 4\r\nContent-Length: 4"),
        (b"Content-Length: 4", b"Content-Length: 4\r\nTransfer-Encoding: chunked"),
        (b"Accept: */*", b"Expect: 100-continue"),
        (b"Accept: */*", b"Connection: close"),
        (b"Accept: */*", b"Content-Encoding: gzip"),
        (b"Accept: */*", b"Accept: x\nContent-Length: 4"),
        (b"Accept: */*", b"Accept: " + b"x" * 4096),
    ],
)
def test_a_post_that_is_not_plain_goes_the_long_way(changed: bytes, to: bytes) -> None:
    assert POST.count(changed) >= 1
    assert body_of(POST.replace(changed, to, 1), b"/ocsp", TYPE) is None


def test_a_post_of_nothing_goes_the_long_way() -> None:
    nothing = POST[:-4].replace(b"Content-Length: 4", b"Content-Length: 0")
    assert body_of(nothing, b"/ocsp", TYPE) is None


@given(st.data())
def test_a_body_that_is_seen_is_what_the_whole_parser_sees(data: st.DataObject) -> None:
    changed = bytearray(POST)
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(6, len(changed)))
        changed[place : place + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from(WORDS))
    seen = body_of(bytes(changed), b"/ocsp", TYPE)
    if seen is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(bytes(changed))
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert (request.method, request.target) == (b"POST", b"/ocsp")
    body = connection.next_event()
    assert isinstance(body, h11.Data)
    assert bytes(body.data) == seen
    assert isinstance(connection.next_event(), h11.EndOfMessage)
    assert connection.trailing_data == (b"", False)
