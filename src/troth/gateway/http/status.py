"""What anybody may fetch in the clear on the public door: CA certificates, CRLs, and whether this process lives.

A bare ASGI function: bytes by key. It does not serve the root, since trust fetched in the clear is no trust: devices
are given ``root.pem`` by hand. RFC 5280 section 4.2.2.1 and RFC 2585 (caIssuers in DER over plain HTTP).
"""

import json
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from troth.authority.derive import OCSP_PATH
from troth.errors import Fault
from troth.gateway.http.answers import answer, failure, not_found, wrong_method
from troth.gateway.http.crl import Conditions, CRLs, Key, parse_path
from troth.gateway.http.issuers import Issuers
from troth.gateway.http.ocsp import OCSPDoor

HEALTH_PATH: Final = "/health"
# A file is named after the digest of what is in it, so that it never changes.
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ALIVE: Final = json.dumps({"status": "alive"}).encode()


class StatusDoor:
    """The ASGI application of the public door."""

    def __init__(self, issuers: Issuers, crls: CRLs, ocsp: OCSPDoor) -> None:
        self._issuers = issuers
        self._crls = crls
        self._ocsp = ocsp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path: str = scope["path"]
        if path.startswith(OCSP_PATH) and path[len(OCSP_PATH) :][:1] in {"", "/"}:
            await self._ocsp(scope, receive, send)
            return
        crl = parse_path(path, self._issuers.shards)
        response = self._answer(scope) if crl is None else await self._crl(scope, crl)
        await response(scope, receive, send)

    async def _crl(self, scope: Scope, crl: Key) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            return wrong_method("GET", "HEAD")
        try:
            return await self._crls.answer(crl, Conditions.of(scope["headers"]))
        except Fault as fault:
            return failure(fault)

    def _answer(self, scope: Scope) -> Response:
        path: str = scope["path"]
        certificate = self._issuers.files.get(path)
        if certificate is None and path != HEALTH_PATH:
            return not_found()
        if scope["method"] not in {"GET", "HEAD"}:
            return wrong_method("GET", "HEAD")
        if certificate is None:
            return answer(_ALIVE, "application/json")
        tag = f'"{path.rpartition("/")[2]}"'
        if any(name == b"if-none-match" and tag.encode() in value for name, value in scope["headers"]):
            return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _FOR_EVER})
        return answer(certificate, "application/pkix-cert", cache=_FOR_EVER, ETag=tag)
