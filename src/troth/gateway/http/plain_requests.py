"""The plainest of HTTP requests, seen at a glance: one whole GET or POST, alone in what was received.

For answers that are bytes by key, where reading a request by the whole of RFC 9112 costs ten times the answer. What is
not as plain as this goes the long way. Fields that could change what the bytes mean, or where they end, are not among
those that are let pass.
"""

from typing import Final

_BYTES_MAX: Final = 4096
_GET: Final = b"GET "
_VERSION: Final = b" HTTP/1.1"
_HOST: Final = b"host"
_TYPE: Final = b"content-type"
_LENGTH: Final = b"content-length"
_NOT_HEEDED: Final = frozenset(
    {_HOST, b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"cache-control", b"pragma"}
    | {b"dnt", b"from", b"referer", b"user-agent", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-real-ip"}
)
"""Fields that change nothing about what is the same for everybody."""
_OF_A_BODY: Final = frozenset({_TYPE, _LENGTH})

_Fields = list[tuple[bytes, bytes]]


def path_of(received: bytes, prefix: bytes) -> bytes | None:
    """Return the target of the GET that `received` is, as it was sent; None unless it begins with `prefix`.

    None too for anything but one whole, plain GET: half of one, two of them, a body, any field that is not known here,
    a line end that is not CR LF.
    """
    if not received.startswith(_GET + prefix) or len(received) > _BYTES_MAX or not received.endswith(b"\r\n\r\n"):
        return None
    lines = _lines(received[:-4])
    if lines is None:
        return None
    first = lines[0]
    target = first[len(_GET) : -len(_VERSION)]
    if not first.endswith(_VERSION) or b" " in target or not (target.isascii() and target.decode().isprintable()):
        return None
    return target if _fields(lines[1:], _NOT_HEEDED) is not None else None


def body_of(received: bytes, path: bytes, media_type: bytes) -> bytes | None:
    """Return the body of the POST to `path` that `received` is; None unless it says to be of `media_type`.

    None too for anything but one whole, plain POST, whose length is given once, in digits, and is what there is.
    """
    first = b"POST %s%s" % (path, _VERSION)
    if not received.startswith(first) or len(received) > _BYTES_MAX:
        return None
    header, end, body = received.partition(b"\r\n\r\n")
    lines = _lines(header) if end else None
    if lines is None or lines[0] != first:
        return None
    fields = _fields(lines[1:], _NOT_HEEDED | _OF_A_BODY)
    if fields is None or [name for name, _ in fields if name in _OF_A_BODY] not in ([_TYPE, _LENGTH], [_LENGTH, _TYPE]):
        return None
    said = dict(fields)
    whole = said[_LENGTH] == b"%d" % len(body) and said[_TYPE] == media_type
    return body if whole and body else None


def _lines(header: bytes) -> list[bytes] | None:
    # Counted, so that no line ends in CR or LF alone, which some would take for the end of a field.
    lines = header.split(b"\r\n")
    if header.count(b"\n") != len(lines) - 1 or header.count(b"\r") != len(lines) - 1 or b"\0" in header:
        return None
    return lines


def _fields(lines: list[bytes], known: frozenset[bytes]) -> _Fields | None:
    """Return names and values in lower case; None for what is no field or not `known`, and for any but one Host."""
    split = [line.lower().partition(b":") for line in lines]
    fields = [(name, value.strip(b" \t")) for name, colon, value in split if colon]
    names = [name for name, _ in fields]
    if len(names) != len(lines) or names.count(_HOST) != 1 or not known.issuperset(names):
        return None
    return fields
