"""EST on the HTTPS door: methods, types, sizes and credentials are looked at here, the rest in `enrollment.est`.

RFC 7030 sections 3.2.2, 3.2.3 and 4; RFC 8951. Nothing of a body is read before its asker may send one.
"""

import asyncio
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from troth.clock import Clock
from troth.enrollment.est import simpleenroll
from troth.enrollment.flow import Enrollment
from troth.enrollment.uptake import note_fetch
from troth.errors import Fault, Kind, PeerFault
from troth.gateway.http.answers import answer, failure, misuse, not_found, wrong_method
from troth.gateway.http.attempts import FailedAttempts
from troth.gateway.http.issuers import Issuers
from troth.limits import EST_BODY_BYTES_MAX
from troth.protocols.est import (
    CACERTS_PATH,
    CERTIFICATES_TYPE,
    CHALLENGE,
    PATH,
    REQUEST_TYPE,
    SIMPLEENROLL_PATH,
    Credentials,
    parse_credentials,
)
from troth.registry.trust import TrustBundle
from troth.store.connect import Database
from troth.x509.certificates import certificate_id, parse_certificate

_NOT_OFFERED: Final = frozenset(f"{PATH}/{name}" for name in ("simplereenroll", "fullcmc", "serverkeygen"))

log = structlog.get_logger()


class ESTDoor:
    """The ASGI application of the HTTPS door."""

    def __init__(
        self, db: Database, clock: Clock, enrollment: Enrollment, issuers: Issuers, attempts: FailedAttempts
    ) -> None:
        self._db = db
        self._clock = clock
        self._enrollment = enrollment
        self._issuers = issuers
        self._attempts = attempts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except Exception as error:
            log.exception("est.broke", peer=_peer(request), path=request.url.path)
            response = failure(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == SIMPLEENROLL_PATH:
            return await self._simpleenroll(request)
        if path == CACERTS_PATH:
            if request.method not in {"GET", "HEAD"}:
                return wrong_method("GET", "HEAD")
            return await self._cacerts(request)
        if path in _NOT_OFFERED:
            return failure(Fault(Kind.UNSUPPORTED, "this EST operation is not offered here"))
        return not_found()

    async def _cacerts(self, request: Request) -> Response:
        bundle, body = self._issuers.bundle, self._issuers.cacerts
        tag = f'"{bundle.digest}"'
        held = tag in request.headers.get("if-none-match", "")
        await self._note(request, bundle, held=held)
        if held:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, "Cache-Control": "no-cache"})
        return _certificates(body, cache="no-cache", ETag=tag)

    async def _note(self, request: Request, bundle: TrustBundle, *, held: bool) -> None:
        """Note who is told of the bundle, where it has proven who it is; the answer does not depend on it."""
        shown = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
        if not shown:
            return
        identity = certificate_id(parse_certificate(shown[0].encode()))
        try:
            await asyncio.to_thread(note_fetch, self._db, self._clock, identity, bundle, held=held)
        except Fault as fault:
            log.warning("uptake.not_noted", peer=_peer(request), reason=fault.message, detail=fault.detail)

    async def _simpleenroll(self, request: Request) -> Response:
        if request.method != "POST":
            return wrong_method("POST")
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != REQUEST_TYPE:
            return misuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send a request as {REQUEST_TYPE}")
        credentials: Credentials | None = None
        try:
            self._require_patience(request)
            credentials = _credentials(request)
            body = await _body(request)
            enrolled, certificates = await simpleenroll(self._enrollment, credentials, body)
        except Fault as fault:
            if fault.kind is Kind.UNAUTHENTICATED and credentials is not None:
                self._attempts.failed(_host(request))
            log.warning(
                "enrollment.refused",
                peer=_peer(request),
                thing=credentials.user if credentials else None,
                kind=fault.kind.value,
                reason=fault.detail or fault.message,
            )
            return failure(fault, challenge=CHALLENGE)
        log.info(
            "enrollment.granted",
            peer=_peer(request),
            thing=enrolled.thing,
            certificate_id=certificate_id(enrolled.certificate),
            intent=enrolled.intent_id,
        )
        return _certificates(certificates)

    def _require_patience(self, request: Request) -> None:
        wait_s = self._attempts.wait_s(_host(request))
        if wait_s > 0:
            raise Fault(Kind.RATE_LIMITED, "too many proofs from this address have failed", retry_after=wait_s)


def _certificates(body: bytes, cache: str = "no-store", **headers: str) -> Response:
    # RFC 8951 lets clients ignore the encoding; those written after RFC 7030 alone may look for it.
    return answer(body, CERTIFICATES_TYPE, cache=cache, Content_Transfer_Encoding="base64", **headers)


def _credentials(request: Request) -> Credentials:
    header = request.headers.get("authorization")
    if header is None:
        raise PeerFault(
            Kind.UNAUTHENTICATED,
            "enrollment needs a proof of who asks",
            hint="use HTTP Basic: the thing's name as user, its token as password",
        )
    return parse_credentials(header)


async def _body(request: Request) -> bytes:
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


def _host(request: Request) -> str:
    return request.client.host if request.client else ""


def _peer(request: Request) -> str:
    if request.client is None:
        return ""
    host = f"[{request.client.host}]" if ":" in request.client.host else request.client.host
    return f"{host}:{request.client.port}"
