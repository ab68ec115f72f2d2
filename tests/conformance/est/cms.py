"""What EST bodies hold: base64, and certificates in PKCS#7; read strictly, and as leniently as can be.

Strict reading tells what is wrong with a body. Lenient reading gets at the certificates all the same, so that one fault
of a server does not hide the others.
"""

import base64
import binascii
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

_WHITE_SPACE: Final = b" \t\r\n"
_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_DATA: Final = bytes.fromhex("2a864886f70d010701")
_OID, _SEQUENCE, _SET, _INTEGER, _CERTIFICATES, _CRLS = 0x06, 0x30, 0x31, 0x02, 0xA0, 0xA1


class Unreadable(Exception):
    """Says what is wrong with a body."""


@dataclass(frozen=True)
class Element:
    """One element of DER."""

    tag: int
    content: bytes

    def children(self) -> "tuple[Element, ...]":
        """Return the elements that it is made of. Raises `Unreadable`."""
        return tuple(elements(self.content))


def elements(der: bytes) -> Iterator[Element]:
    """Yield one element after the other. Raises `Unreadable` for what is no DER (X.690 section 10.1)."""
    at = 0
    while at < len(der):
        tag = der[at]
        if len(der) < at + 2:
            raise Unreadable("DER ends within an element")
        length, at = der[at + 1], at + 2
        if length > 0x7F:
            size = length - 0x80
            if not 1 <= size <= 4 or len(der) < at + size:
                raise Unreadable("a length is not DER")
            length = int.from_bytes(der[at : at + size])
            at += size
        if len(der) < at + length:
            raise Unreadable("DER ends within an element")
        yield Element(tag, der[at : at + length])
        at += length


def decode(body: bytes) -> bytes:
    """Decode base64 with or without white space (RFC 8951 section 3, RFC 4648 section 4). Raises `Unreadable`."""
    if b"-----BEGIN" in body:
        raise Unreadable("the body is PEM; EST sends base64 without PEM's first and last line")
    packed = body.translate(None, _WHITE_SPACE)
    try:
        decoded = binascii.a2b_base64(packed, strict_mode=True)
    except binascii.Error as error:
        raise Unreadable(f"the body is no base64: {error}") from error
    if not decoded or base64.b64encode(decoded) != packed:
        raise Unreadable("the body is no base64 in its one right spelling")
    return decoded


def require_certs_only(der: bytes) -> None:
    """Return if this is a certs-only SignedData: no content and no signer (RFC 5272 section 4.1, RFC 5652).

    Raises `Unreadable`.
    """
    whole = tuple(elements(der))
    if len(whole) != 1 or whole[0].tag != _SEQUENCE:
        raise Unreadable("the answer is not one DER SEQUENCE")
    content_info = whole[0].children()
    if len(content_info) != 2 or content_info[0] != Element(_OID, _SIGNED_DATA):
        raise Unreadable("the answer is no PKCS#7 SignedData")
    inner = content_info[1].children()
    parts = inner[0].children() if len(inner) == 1 and inner[0].tag == _SEQUENCE else ()
    tags = [part.tag for part in parts if part.tag != _CRLS]
    if tags != [_INTEGER, _SET, _SEQUENCE, _CERTIFICATES, _SET]:
        raise Unreadable("the SignedData has not the parts of a certs-only answer")
    if parts[2].children() != (Element(_OID, _DATA),):
        raise Unreadable("the SignedData has content, which a certs-only answer has not")
    if parts[-1].content:
        raise Unreadable("the SignedData is signed, which a certs-only answer is not")
    if not parts[3].content:
        raise Unreadable("there is no certificate in it")


def certificates_in(body: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a body in whatever form they may be. Raises `Unreadable` where there are none."""
    text = re.sub(rb"-----[^-]*-----", b"", body)
    packed = re.sub(rb"[^A-Za-z0-9+/]", b"", text)
    candidates = [body]
    # Without the padding, and without spare characters, base64 is read by any reader.
    candidates.append(base64.b64decode(packed[: len(packed) - (len(packed) % 4 == 1)] + b"==", validate=False))
    for der in candidates:
        with warnings.catch_warnings(action="ignore"):
            for read in (pkcs7.load_der_pkcs7_certificates, _bare):
                try:
                    found = tuple(read(der))
                except Exception:
                    continue
                if found:
                    return found
    raise Unreadable("no certificate can be read from the answer")


def _bare(der: bytes) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der)]
