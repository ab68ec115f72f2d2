"""HTTP/1.1 as far as one device asks one home: bytes in, one call of the ASGI application, bytes out. RFC 9112."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message

from troth.gateway.grants import Peer
from troth.tls.server import PeerTLS


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as it came."""

    request: bytes
    peer: Peer
    tls: PeerTLS
    """What the handshake has proven."""

    @property
    def body(self) -> bytes:
        """What follows the head."""
        return self.request.partition(b"\r\n\r\n")[2]


async def answered(app: ASGIApp, exchange: Exchange, at: datetime) -> bytes:
    """Return the answer of `app`, with the date of the server."""
    head, _, body = exchange.request.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    method, path, _version = line.decode("ascii").split(" ")
    headers = [(name.lower(), value.strip()) for name, _, value in (each.partition(b":") for each in fields)]
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": (exchange.peer.host, exchange.peer.port),
        "server": ("home.example", 8443),
        "extensions": {"troth": {"peer": exchange.tls}},
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    content = b"" if method == "HEAD" else b"".join(each.get("body", b"") for each in rest)
    lines = [f"HTTP/1.1 {start['status']} OK".encode(), b"Date: " + format_datetime(at, usegmt=True).encode()]
    lines += [b"%s: %s" % field for field in start["headers"]]
    return b"\r\n".join([*lines, b"Connection: close", b"", content])
