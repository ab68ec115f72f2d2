"""Base64 in its one right spelling (RFC 4648, section 4): padded, spare bits zero, nothing between."""

import base64
import binascii

from troth.errors import Kind, PeerFault


def render_base64(data: bytes) -> str:
    """Return the text of `data`."""
    return base64.b64encode(data).decode("ascii")


def parse_base64(text: str, what: str) -> bytes:
    """Return the bytes of `text`; `what` names it in messages. Raises `PeerFault` (malformed)."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PeerFault(Kind.MALFORMED, f"{what} is not base64") from error
    if render_base64(data) != text:
        raise PeerFault(Kind.MALFORMED, f"{what} is not base64 in its one right spelling")
    return data
