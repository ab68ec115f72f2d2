"""What a load balancer says of a connection: every header is read as it was meant, and any other bytes are refused."""

import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from troth.errors import Kind, PeerFault
from troth.limits import PROXY_HEADER_BYTES_MAX
from troth.protocols.proxy import Header, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
HELLO = b"\x16\x03\x01\x02\x00\x01"
V4, V6 = 0x11, 0x21


def header(source: str = "192.0.2.7", port: int = 4711, *, command: int = 0x21, fields: bytes = b"") -> bytes:
    """Return what HAProxy would send for a client at `source`."""
    packed = ip_address(source).packed
    rest = packed + bytes(len(packed)) + port.to_bytes(2, "big") + (8883).to_bytes(2, "big") + fields
    family = V4 if len(packed) == 4 else V6
    return SIGNATURE + bytes((command, family)) + len(rest).to_bytes(2, "big") + rest


def field(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


fields = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)).map(lambda each: field(*each)), max_size=5)


@given(st.ip_addresses(), st.integers(0, 65_535), fields, st.binary(max_size=40))
def test_what_a_balancer_says_is_read(source: object, port: int, more: list[bytes], behind: bytes) -> None:
    said = header(str(source), port, fields=b"".join(more))
    mapped = getattr(source, "ipv4_mapped", None)
    expected = Header((str(mapped or ip_address(str(source))), port), len(said))
    assert read_header(said + behind) == expected
    for cut in range(len(said)):
        assert read_header(said[:cut]) is None


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda rest: SIGNATURE + rest))
def test_any_bytes_are_a_header_or_the_beginning_of_one_or_refused(data: bytes) -> None:
    try:
        read = read_header(data)
    except PeerFault:
        return
    if read is None:
        assert SIGNATURE.startswith(data[:12]) or b"PROXY".startswith(data)
    else:
        assert 16 <= read.size <= min(len(data), PROXY_HEADER_BYTES_MAX)


def test_an_ipv4_client_is_one_however_it_is_written() -> None:
    said = read_header(header("::ffff:192.0.2.7"))
    assert said is not None
    assert said.source == ("192.0.2.7", 4711)


def test_a_balancer_that_speaks_for_itself_names_nobody() -> None:
    local = header(command=0x20)
    assert read_header(local) == Header(None, len(local))
    assert read_header(SIGNATURE + b"\x20\x00\x00\x00") == Header(None, 16)


REFUSED = {
    "TLS": (HELLO, Kind.MALFORMED, "no PROXY header"),
    "another first byte": (b"G", Kind.MALFORMED, "no PROXY header"),
    "a signature with another byte": (b"\r\n\r\n\x00\r\nQUIT\x00" + header()[12:], Kind.MALFORMED, "no PROXY header"),
    "version 1": (b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 8883\r\n", Kind.UNSUPPORTED, "version 1"),
    "version 1, five bytes of it": (b"PROXY", Kind.UNSUPPORTED, "version 1"),
    "version 3": (header(command=0x31), Kind.MALFORMED, "version 3"),
    "another command": (header(command=0x22), Kind.MALFORMED, "command 2"),
    "UDP": (SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12), Kind.UNSUPPORTED, "not TCP"),
    "a Unix socket": (SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), Kind.UNSUPPORTED, "not TCP"),
    "nobody": (SIGNATURE + b"\x21\x00\x00\x00", Kind.UNSUPPORTED, "not TCP"),
    "no room for addresses": (SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11), Kind.MALFORMED, "without its addresses"),
    "half a field": (header(fields=b"\x04\x00"), Kind.MALFORMED, "cut off"),
    "a field that is longer than all": (header(fields=b"\x04\x00\x09abc"), Kind.MALFORMED, "cut off"),
    "too much to say": (header(fields=field(4, bytes(2_100))), Kind.TOO_LARGE, "more than"),
    "too much announced": (SIGNATURE + b"\x21\x11\xff\xff", Kind.TOO_LARGE, "more than"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str) -> None:
    said, kind, why = REFUSED[what]
    with pytest.raises(PeerFault, match=why) as refused:
        read_header(said)
    assert refused.value.kind is kind


def test_the_longest_is_read() -> None:
    said = header(fields=field(4, bytes(PROXY_HEADER_BYTES_MAX - 16 - 12 - 3)))
    assert len(said) == PROXY_HEADER_BYTES_MAX
    assert read_header(said) == Header(("192.0.2.7", 4711), len(said))


def test_addresses_are_those_of_the_system() -> None:
    said = (
        SIGNATURE
        + b"\x21\x21\x00\x24"
        + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
        + bytes(16)
        + b"\x00\x01\x02\x03"
    )
    read = read_header(said)
    assert read is not None
    assert read.source == ("2001:db8::1", 1)
