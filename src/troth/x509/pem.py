"""PEM, read strictly: RFC 7468 with its explanatory text outside the blocks, and nothing else.

Knows no file. Linear in its input: a parser of bytes from outside.
"""

import binascii
from collections.abc import Iterator

from troth.errors import Kind, PeerFault

_BEGIN = b"-----BEGIN "
_END = b"-----END "
_DASHES = b"-----"
_LABEL_BYTES_MAX = 64


def is_pem(data: bytes) -> bool:
    """Say whether `data` is to be read as PEM.

    DER of anything read here is a SEQUENCE of more than 127 bytes, so its second byte is no ASCII; PEM's always is.
    """
    return not (data[:1] == b"\x30" and data[1:2] >= b"\x80")


def parse_pem(data: bytes, *labels: str, blocks_max: int) -> list[bytes]:
    """Return the contents of the PEM blocks of `data`, at least one and at most `blocks_max`, all under `labels`.

    The caller bounds `data`. Raises `PeerFault` (malformed, too large).
    """
    found: list[bytes] = []
    for label, content in _blocks(data):
        if label not in labels:
            raise PeerFault(Kind.MALFORMED, f"PEM holds {label!r} where {labels[0]!r} is expected")
        if len(found) == blocks_max:
            raise PeerFault(Kind.TOO_LARGE, f"PEM holds more than {blocks_max} of {label!r}")
        found.append(content)
    if not found:
        raise PeerFault(Kind.MALFORMED, f"no PEM block {labels[0]!r} found")
    return found


def render_pem(label: str, content: bytes) -> bytes:
    """Return `content` as one PEM block in lines of 64 characters (RFC 7468, 3)."""
    text = binascii.b2a_base64(content, newline=False)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    name = label.encode()
    return b"\n".join([_BEGIN + name + _DASHES, *lines, _END + name + _DASHES, b""])


def _blocks(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = data.find(_BEGIN)
    while at >= 0:
        label_at = at + len(_BEGIN)
        label_end = data.find(_DASHES, label_at, label_at + _LABEL_BYTES_MAX)
        if label_end < 0:
            raise PeerFault(Kind.MALFORMED, "a PEM block's first line is broken")
        label = data[label_at:label_end]
        closing = _END + label + _DASHES
        end = data.find(closing, label_end)
        if end < 0:
            raise PeerFault(Kind.MALFORMED, "a PEM block has no end")
        yield label.decode("ascii", "replace"), _base64(data[label_end + len(_DASHES) : end])
        at = data.find(_BEGIN, end + len(closing))


def _base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
    except binascii.Error as error:
        raise PeerFault(Kind.MALFORMED, "the base64 in a PEM block is broken", detail=str(error)) from error
