"""PROXY protocol, version 2: what a load balancer says of a connection before the connection's own first byte.

Reads binary headers (HAProxy's proxy-protocol.txt, section 2.2) and no text ones (version 1). Knows no socket, and not
who may be believed. Its further fields (TLVs) must be whole, and count for nothing: what a balancer says of a
certificate proves nothing to us.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from troth.errors import Kind, PeerFault
from troth.limits import PROXY_HEADER_BYTES_MAX

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_SIGNATURE_1: Final = b"PROXY"
_FIXED_BYTES: Final = 16
_VERSION: Final = 2
_LOCAL, _PROXY = 0, 1
# Address family and transport, and how long one address is: TCP over IPv4 and over IPv6.
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: who has connected, and how many bytes it took to say so."""

    source: tuple[str, int] | None
    """Host and port of the client; None when the balancer speaks for itself (LOCAL), as to see whether we are there."""
    size: int


def read_header(data: bytes) -> Header | None:
    """Return the header that `data` begins with, or None while it is not all there.

    Raises:
        PeerFault: MALFORMED for what begins otherwise or contradicts itself, UNSUPPORTED for version 1 and for clients
            that have not come by TCP, TOO_LARGE above `PROXY_HEADER_BYTES_MAX`.
    """
    begun = data[: len(_SIGNATURE)]
    if begun[: len(_SIGNATURE_1)] == _SIGNATURE_1:
        raise PeerFault(Kind.UNSUPPORTED, "version 1 of the PROXY protocol is not read: have version 2 sent")
    if not (_SIGNATURE.startswith(begun) or _SIGNATURE_1.startswith(begun)):
        raise PeerFault(Kind.MALFORMED, "there is no PROXY header")
    if len(data) < _FIXED_BYTES:
        return None
    size = _FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if size > PROXY_HEADER_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"a PROXY header of more than {PROXY_HEADER_BYTES_MAX} bytes")
    version, command = data[12] >> 4, data[12] & 0x0F
    if version != _VERSION or command not in (_LOCAL, _PROXY):
        raise PeerFault(Kind.MALFORMED, f"a PROXY header of version {version} with command {command}")
    if len(data) < size:
        return None
    # What follows LOCAL is to be passed over, whatever it is (2.2).
    return Header(None if command == _LOCAL else _source(data[13], data[_FIXED_BYTES:size]), size)


def _source(family: int, rest: bytes) -> tuple[str, int]:
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        raise PeerFault(Kind.UNSUPPORTED, f"a PROXY header for clients of kind {family:#04x}, which is not TCP")
    end = 2 * size + 4
    if len(rest) < end:
        raise PeerFault(Kind.MALFORMED, "a PROXY header without its addresses")
    _require_whole(rest[end:])
    address = ip_address(rest[:size])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # The one way of writing it that policies and limits know.
        address = address.ipv4_mapped
    return str(address), int.from_bytes(rest[2 * size : 2 * size + 2], "big")


def _require_whole(fields: bytes) -> None:
    at = 0
    while at < len(fields):
        at += 3 + int.from_bytes(fields[at + 1 : at + 3], "big")
    if at != len(fields):
        raise PeerFault(Kind.MALFORMED, "a PROXY header whose last field is cut off")
