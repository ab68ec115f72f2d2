"""EST on the HTTPS door: which operation is asked for, by whom, and what is answered; the rest is `enrollment.est`.

RFC 7030 sections 3.2.2, 3.2.3 and 4; RFC 8951. Nothing of a body is read before its asker may send one.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from troth.clock import Clock
from troth.enrollment.est import csrattrs, render_enrolled, simpleenroll, simplereenroll
from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.keygen import Generated, serverkeygen
from troth.enrollment.presented import DEFAULT_LABEL, Presented
from troth.enrollment.renewal_info import ASK_AGAIN_S, find_window
from troth.enrollment.uptake import note_fetch
from troth.errors import Fault, Kind
from troth.gateway.http.answers import answer, failure, misuse, not_found, wrong_method
from troth.gateway.http.attempts import FailedAttempts
from troth.gateway.http.issuers import Issuers
from troth.gateway.http.posts import address_of, body_of, host_of, objection, peer_of, presented
from troth.protocols.csr_attributes import CONTENT_TYPE as ATTRIBUTES_TYPE
from troth.protocols.est import (
    CERTIFICATES_TYPE,
    CHALLENGE,
    ENCRYPTED_KEY_TYPE,
    KEY_AND_CERTIFICATE_TYPE,
    KEY_TYPE,
    Operation,
    parse_path,
    render_key_and_certificate,
)
from troth.protocols.renewal_info import CONTENT_TYPE as JSON_TYPE
from troth.protocols.renewal_info import Window, render_renewal_info
from troth.registry.trust import TrustBundle
from troth.store.connect import Database
from troth.store.read import read
from troth.x509.certificates import certificate_id

_FOR_EXPIRED: Final = frozenset({Operation.SIMPLEREENROLL, Operation.CACERTS, Operation.RENEWAL_INFO})
"""What one is answered whose certificate has expired: how to renew it, and nothing else."""

_Work = Callable[[Enrollment, Presented, bytes], Awaitable[Enrolled | Waiting | Generated]]
_WORK: Final[Mapping[Operation, _Work]] = {
    Operation.SIMPLEENROLL: simpleenroll,
    Operation.SIMPLEREENROLL: simplereenroll,
    Operation.SERVERKEYGEN: serverkeygen,
}

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
            log.exception("est.broke", peer=address_of(request), path=request.url.path)
            response = failure(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        place = parse_path(request.scope["path"])
        if place is None:
            return not_found()
        label, operation = place
        peer = peer_of(request)
        if peer is not None and peer.is_stranger and operation is Operation.SIMPLEREENROLL:
            return misuse(HTTPStatus.FORBIDDEN, "with a certificate of another CA one can enroll, and renew nothing")
        if peer is not None and peer.is_expired and operation not in _FOR_EXPIRED:
            return misuse(
                HTTPStatus.FORBIDDEN, "with a certificate that has expired one can renew it, and nothing else"
            )
        match operation:
            case Operation.CACERTS:
                return await self._cacerts(request)
            case Operation.SIMPLEENROLL | Operation.SIMPLEREENROLL:
                return await self._enroll(request, operation, label or DEFAULT_LABEL)
            case Operation.RENEWAL_INFO:
                return await self._renewal_info(request, label or DEFAULT_LABEL)
            case Operation.SERVERKEYGEN:
                return await self._enroll(request, operation, label or DEFAULT_LABEL)
            case Operation.CSRATTRS:
                return await self._csrattrs(request, label or DEFAULT_LABEL)
            case Operation.FULLCMC:
                return failure(Fault(Kind.UNSUPPORTED, "full CMC is not offered here: use simpleenroll"))

    async def _cacerts(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return wrong_method("GET", "HEAD")
        bundle, body = self._issuers.bundle, self._issuers.cacerts
        tag = f'"{bundle.digest}"'
        held = tag in request.headers.get("if-none-match", "")
        await self._note(request, bundle, held=held)
        if held:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag, "Cache-Control": "no-cache"})
        return _certificates(body, cache="no-cache", ETag=tag)

    async def _note(self, request: Request, bundle: TrustBundle, *, held: bool) -> None:
        """Note who is told of the bundle, where it has proven who it is; the answer does not depend on it."""
        peer = peer_of(request)
        if peer is None or peer.certificate is None or peer.is_expired or peer.is_stranger:
            return
        identity = certificate_id(peer.certificate)
        try:
            await asyncio.to_thread(note_fetch, self._db, self._clock, identity, bundle, held=held)
        except Fault as fault:
            log.warning("uptake.not_noted", peer=address_of(request), reason=fault.message, detail=fault.detail)

    async def _renewal_info(self, request: Request, label: str) -> Response:
        if request.method != "GET":
            return wrong_method("GET")
        try:
            window = await asyncio.to_thread(self._find_window, presented(request, label))
        except Fault as fault:
            return failure(fault, challenge=CHALLENGE)
        return answer(render_renewal_info(window), JSON_TYPE, Retry_After=str(ASK_AGAIN_S))

    async def _csrattrs(self, request: Request, label: str) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return wrong_method("GET", "HEAD")
        try:
            body = await asyncio.to_thread(self._find_attributes, label)
        except Fault as fault:
            return failure(fault)
        return answer(body, ATTRIBUTES_TYPE, cache="no-cache", Content_Transfer_Encoding="base64")

    def _find_attributes(self, label: str) -> bytes:
        with read(self._db) as connection:
            return csrattrs(connection, label)

    def _find_window(self, shown: Presented) -> Window:
        with read(self._db) as connection:
            return find_window(connection, shown)

    async def _enroll(self, request: Request, operation: Operation, label: str) -> Response:
        refused = objection(request)
        if refused is not None:
            return refused
        shown = Presented()
        try:
            self._require_patience(request)
            shown = presented(request, label)
            body = await body_of(request)
            done = await _WORK[operation](self._enrollment, shown, body)
        except Fault as fault:
            if fault.kind is Kind.UNAUTHENTICATED and (shown.user or shown.peer_chain):
                self._attempts.failed(host_of(request))
            log.warning(
                "enrollment.refused",
                peer=address_of(request),
                operation=operation.value,
                label=label,
                thing=shown.user or None,
                kind=fault.kind.value,
                reason=fault.detail or fault.message,
            )
            return failure(fault, challenge=CHALLENGE)
        return _answered(request, operation, done)

    def _require_patience(self, request: Request) -> None:
        wait_s = self._attempts.wait_s(host_of(request))
        if wait_s > 0:
            raise Fault(Kind.RATE_LIMITED, "too many proofs from this address have failed", retry_after=wait_s)


def _answered(request: Request, operation: Operation, done: Enrolled | Waiting | Generated) -> Response:
    if isinstance(done, Waiting):
        log.info("enrollment.waits", peer=address_of(request), thing=done.thing, request=done.request_id)
        # RFC 7030, 4.2.3: the client asks again with the same request.
        headers = {"Retry-After": str(max(1, math.ceil(done.retry_after))), "Cache-Control": "no-store"}
        return Response(b"", HTTPStatus.ACCEPTED, headers)
    enrolled = done.enrolled if isinstance(done, Generated) else done
    log.info(
        "enrollment.granted",
        peer=address_of(request),
        operation=operation.value,
        thing=enrolled.thing,
        certificate_id=certificate_id(enrolled.certificate),
        intent=enrolled.intent_id,
    )
    if isinstance(done, Generated):
        kind = ENCRYPTED_KEY_TYPE if done.is_encrypted else KEY_TYPE
        return answer(render_key_and_certificate(done.key, kind, enrolled.certificate), KEY_AND_CERTIFICATE_TYPE)
    return _certificates(render_enrolled(enrolled))


def _certificates(body: bytes, cache: str = "no-store", **headers: str) -> Response:
    # RFC 8951 lets clients ignore the encoding; those written after RFC 7030 alone may look for it.
    return answer(body, CERTIFICATES_TYPE, cache=cache, Content_Transfer_Encoding="base64", **headers)
