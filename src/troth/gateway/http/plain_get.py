"""The plainest of HTTP requests, seen at a glance: one whole GET without a body, alone in what was received.

For answers that are bytes by key, where reading a request by the whole of RFC 9112 costs ten times the answer. What is
not as plain as this goes the long way. Fields that could change what the bytes mean, or where they end, are not among
those that are let pass.
"""

from typing import Final

_BYTES_MAX: Final = 4096
_GET: Final = b"GET "
_VERSION: Final = b" HTTP/1.1"
_HOST: Final = b"host"
_NOT_HEEDED: Final = frozenset(
    {_HOST, b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"pragma"}
    | {b"dnt", b"from", b"referer", b"user-agent", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"}
)
"""Fields that change nothing about a GET of something that is the same for everybody."""


def path_of(received: bytes, prefix: bytes) -> bytes | None:
    """Return the target of the GET that `received` is, as it was sent; None unless it begins with `prefix`.

    None too for anything but one whole, plain GET: half of one, two of them, a body, any field that is not known here,
    a line end that is not CR LF.
    """
    if not received.startswith(_GET + prefix) or len(received) > _BYTES_MAX or not received.endswith(b"\r\n\r\n"):
        return None
    # Counted, so that no line ends in CR or LF alone, which some would take for the end of a field.
    lines = received[:-4].split(b"\r\n")
    if received.count(b"\n") != len(lines) + 1 or received.count(b"\r") != len(lines) + 1 or b"\0" in received:
        return None
    first = lines[0]
    target = first[len(_GET) : -len(_VERSION)]
    if not first.endswith(_VERSION) or b" " in target or not (target.isascii() and target.decode().isprintable()):
        return None
    fields = [line.lower().partition(b":") for line in lines[1:]]
    names = [name for name, colon, _ in fields if colon]
    if len(names) != len(fields) or names.count(_HOST) != 1 or not _NOT_HEEDED.issuperset(names):
        return None
    return target
