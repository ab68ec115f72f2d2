"""Any bytes as the beginning of a balancer's connection: a header, a wait for more, or a typed fault."""

from contextlib import suppress
from typing import Final

from troth.errors import PeerFault
from troth.limits import PROXY_HEADER_BYTES_MAX
from troth.protocols.proxy import read_header

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"

SEEDS: Final = (
    _SIGNATURE + b"\x21\x11\x00\x0c" + bytes(12),
    _SIGNATURE + b"\x21\x21\x00\x2b" + bytes(36) + b"\x04\x00\x04abcd",
    _SIGNATURE + b"\x20\x00\x00\x00",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 8883\r\n",
    b"",
)
WORDS: Final = (_SIGNATURE, b"\x21\x11", b"\x21\x21", b"\xff\xff", b"\x00\x00", b"\x20", b"PROXY")


def check(data: bytes) -> None:
    """Read what there is; what is whole does not change with what follows."""
    with suppress(PeerFault):
        read = read_header(data)
        if read is not None:
            assert 16 <= read.size <= min(len(data), PROXY_HEADER_BYTES_MAX)
            assert read_header(data[: read.size]) == read
            assert read_header(data[: read.size - 1]) is None
