"""Any bytes as an OCSP request, in a body and in a path: a request or a typed fault, soon and in little memory."""

import base64
from contextlib import suppress
from typing import Final

from troth.errors import PeerFault
from troth.gateway.http.ocsp_path import candidates
from troth.x509.ocsp import parse_request

_CERT_ID: Final = bytes.fromhex("303b300906052b0e03021a05000414" + "11" * 20 + "0414" + "22" * 20 + "02020105")
_NONCE: Final = bytes.fromhex("a2153013301106092b060105050730010204040402abcd")
_ONE: Final = bytes((0x30, len(_CERT_ID))) + _CERT_ID


def _request(*parts: bytes) -> bytes:
    asked = b"".join(parts)
    inner = bytes((0x30, len(asked))) + asked
    return bytes((0x30, len(inner))) + inner


SEEDS: Final = (
    _request(bytes((0x30, len(_ONE))) + _ONE),
    _request(bytes((0x30, len(_ONE))) + _ONE, _NONCE),
    b"/" + base64.b64encode(_request(bytes((0x30, len(_ONE))) + _ONE)),
    b"/MEQwQjBAMD4wPDAJBgUrDgMCGgUABBTx//8%2F",
    b"",
)
WORDS: Final = (
    b"\x30",
    b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x02\x01\x00",
    b"\xa0",
    b"\xa2",
    b"/",
    b"%2F",
    b"=",
)


def check(data: bytes) -> None:
    """Read, in both ways."""
    for der in (data, *candidates(data)):
        with suppress(PeerFault):
            read = parse_request(der)
            assert read.cert_ids
            assert all(each.der in der for each in read.cert_ids)
