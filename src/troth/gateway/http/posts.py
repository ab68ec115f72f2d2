"""What is posted to the EST door: type, size and credentials looked at before a byte is read, and what was shown.

Knows no operation. RFC 7030 sections 3.2.3 and 4.2; RFC 8951 section 3.
"""

from http import HTTPStatus
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import Response

from troth.enrollment.presented import Presented
from troth.errors import Kind, PeerFault
from troth.gateway.http.answers import misuse, wrong_method
from troth.limits import EST_BODY_BYTES_MAX
from troth.protocols.est import REQUEST_TYPE, Credentials, parse_credentials
from troth.tls.server import PeerTLS

_NOBODY: Final = Credentials("", "")


def objection(request: Request) -> Response | None:
    """Return the refusal of a request that posts nothing, or nothing of the right type; None when all is well."""
    if request.method != "POST":
        return wrong_method("POST")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != REQUEST_TYPE:
        return misuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send a request as {REQUEST_TYPE}")
    return None


def peer_of(request: Request) -> PeerTLS | None:
    """Return the peer that TLS has proven; None in the clear."""
    peer = request.scope.get("extensions", {}).get("troth", {}).get("peer")
    return peer if isinstance(peer, PeerTLS) else None


def presented(request: Request, label: str) -> Presented:
    """Return all that was shown with a request. Raises `PeerFault` for credentials that cannot be read."""
    header, peer = request.headers.get("authorization"), peer_of(request)
    credentials = parse_credentials(header) if header is not None else _NOBODY
    return Presented(
        peer_chain=tuple(each.public_bytes(Encoding.DER) for each in peer.chain) if peer else (),
        is_stranger=peer.is_stranger if peer else False,
        is_expired=peer.is_expired if peer else False,
        user=credentials.user,
        password=credentials.password,
        address=host_of(request),
        exporter=peer.export if peer else None,
        channel_binding=peer.channel_binding if peer else None,
        label=label,
    )


async def body_of(request: Request) -> bytes:
    """Return what is posted. Raises `PeerFault` (too large) as soon as that is known."""
    too_large = PeerFault(Kind.TOO_LARGE, f"a request may have at most {EST_BODY_BYTES_MAX} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > EST_BODY_BYTES_MAX:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > EST_BODY_BYTES_MAX:
            raise too_large
    return bytes(body)


def host_of(request: Request) -> str:
    """Return the address of who asks."""
    return request.client.host if request.client else ""


def address_of(request: Request) -> str:
    """Return address and port of who asks, as logs have them."""
    if request.client is None:
        return ""
    host = f"[{request.client.host}]" if ":" in request.client.host else request.client.host
    return f"{host}:{request.client.port}"
