"""The OCSP request in the path of a GET: base64 of its DER, in whichever shape clients and proxies leave it.

RFC 6960, appendix A.1.1: ``{url}/{url-encoding of base64 of the DER}``. Met in the field: ``/`` and ``+`` sent bare, an
extra ``/`` in front or behind, padding left away, and ``//`` merged into ``/`` by a proxy. Reads no DER.
"""

import binascii
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from troth.limits import OCSP_REQUEST_BYTES_MAX

_CHARS_MAX: Final = 4 * OCSP_REQUEST_BYTES_MAX
"""Percent-encoding makes three of one character at most, and base64 four of three."""
_MERGED_SLASHES_MAX: Final = 8
"""Places at which a slash is tried to be put back."""


def candidates(path: bytes) -> Iterator[bytes]:
    """Yield what the rest of a path after the responder's own may stand for, likeliest first: at most ten.

    Nothing that is yielded need be a request.
    """
    if len(path) > _CHARS_MAX:
        return
    # No request begins with a slash in base64: its first octet is 0x30.
    text = unquote_to_bytes(path).lstrip(b"/")
    yield from _decoded(text)
    if text.endswith(b"/"):
        yield from _decoded(text.rstrip(b"/"))
    if text.count(b"/") <= _MERGED_SLASHES_MAX:
        for place, octet in enumerate(text):
            if octet == ord("/"):
                yield from _decoded(text[:place] + b"/" + text[place:])


def _decoded(text: bytes) -> Iterator[bytes]:
    bare = text.rstrip(b"=")
    try:
        yield binascii.a2b_base64(bare + b"=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return
