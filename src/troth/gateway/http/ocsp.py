"""OCSP over HTTP on the public door: GET with the request in the path, POST with it in the body.

Answers that are kept leave as bytes by key, without another layer. RFC 6960 appendix A, RFC 5019 sections 5 and 6.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from email.utils import format_datetime
from http import HTTPStatus
from itertools import chain
from types import MappingProxyType
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from troth.authority.derive import OCSP_PATH
from troth.errors import Fault, Kind, PeerFault
from troth.gateway.http.answers import misuse, wrong_method
from troth.gateway.http.ocsp_answers import Answer, Answers, Headers
from troth.gateway.http.ocsp_path import candidates
from troth.gateway.http.plain_requests import body_of, path_of
from troth.limits import OCSP_REQUEST_BYTES_MAX
from troth.x509.ocsp import OCSPRequest, ResponseStatus, failed_response, parse_request

REQUEST_TYPE: Final = b"application/ocsp-request"
RESPONSE_TYPE: Final = b"application/ocsp-response"
CACHED_S_MAX: Final = 300
"""How long a cache on the way may keep an answer: until then a revocation may not reach who asks through it."""

RESPONSE_STATUSES: Final[Mapping[Kind, ResponseStatus]] = MappingProxyType(
    {
        Kind.MALFORMED: ResponseStatus.MALFORMED_REQUEST,
        Kind.TOO_LARGE: ResponseStatus.MALFORMED_REQUEST,
        Kind.FORBIDDEN: ResponseStatus.UNAUTHORIZED,
        Kind.UNAVAILABLE: ResponseStatus.TRY_LATER,
        Kind.RATE_LIMITED: ResponseStatus.TRY_LATER,
        # No signer is to be had, for a reason that stays until somebody acts.
        Kind.UNAUTHENTICATED: ResponseStatus.INTERNAL_ERROR,
        Kind.NOT_FOUND: ResponseStatus.INTERNAL_ERROR,
        Kind.CONFLICT: ResponseStatus.INTERNAL_ERROR,
        Kind.REJECTED: ResponseStatus.INTERNAL_ERROR,
        Kind.BAD_KEY: ResponseStatus.INTERNAL_ERROR,
        Kind.EXPIRED: ResponseStatus.INTERNAL_ERROR,
        Kind.UNSUPPORTED: ResponseStatus.INTERNAL_ERROR,
        Kind.MISCONFIGURED: ResponseStatus.INTERNAL_ERROR,
    }
)
"""How each kind of fault is told (RFC 6960, 2.3)."""

_NOT_CACHED: Final = b"no-store"
_PATH: Final = OCSP_PATH.encode()
_BELOW: Final = b"%s/" % _PATH

log = structlog.get_logger()


class OCSPDoor:
    """The ASGI application below ``/ocsp``.

    `is_current` says whether no change can have been missed but one of this moment. `catch_up` returns when not even
    one of this moment can be, and raises `Fault` (unavailable) when that cannot be told.
    """

    def __init__(
        self, answers: Answers, is_current: Callable[[], bool], catch_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._answers = answers
        self._is_current = is_current
        self._catch_up = catch_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        if method in {"GET", "HEAD"}:
            await self._respond(scope, send, candidates(scope["raw_path"][len(OCSP_PATH) :]))
        elif method != "POST":
            await wrong_method("GET", "HEAD", "POST")(scope, receive, send)
        elif _header(scope, b"content-type").partition(b";")[0].strip().lower() != REQUEST_TYPE:
            response = misuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send a request as {REQUEST_TYPE.decode()}")
            await response(scope, receive, send)
        else:
            try:
                body = await _body(receive)
            except ClientDisconnect:
                return
            await self._respond(scope, send, iter((body,)))

    def at_a_glance(self, received: bytes, date: bytes) -> bytes | None:
        """Return the whole HTTP answer to a plain request for an answer that is kept; None: `__call__` does it.

        A `troth.tls.asgi.Glance`.
        """
        target = path_of(received, _BELOW)
        if target is not None:
            asked: bytes | None = next(candidates(target[len(OCSP_PATH) :]), b"")
        else:
            asked = body_of(received, _PATH, REQUEST_TYPE)
        if asked is None or not self._is_current():
            return None
        answer = self._answers.find(asked)
        if answer is None:
            return None
        if answer.sent is None:
            headers = _headers(answer.body, _caching(answer))
            answer.sent = b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n" + answer.body
        return b"HTTP/1.1 200 OK\r\ndate: %s\r\n%s" % (date, answer.sent)

    async def _respond(self, scope: Scope, send: Send, possible: Iterator[bytes]) -> None:
        try:
            answer = await self._answer(possible)
        except Exception as error:
            body = failed_response(_status(error))
            await _send(scope, send, body, _headers(body, [(b"cache-control", _NOT_CACHED)]))
            return
        if answer.headers is None:
            answer.headers = _headers(answer.body, _caching(answer))
        if answer.is_kept and answer.etag in _header(scope, b"if-none-match"):
            await _send(scope, send, b"", _caching(answer), HTTPStatus.NOT_MODIFIED)
            return
        await _send(scope, send, answer.body, answer.headers)

    async def _answer(self, possible: Iterator[bytes]) -> Answer:
        if not self._is_current():
            raise Fault(Kind.UNAVAILABLE, "changes may have been missed")
        first = next(possible, b"")
        kept = self._answers.find(first)
        if kept is not None:
            return kept
        der, request = _first_readable(chain((first,), possible))
        if der != first and (kept := self._answers.find(der)) is not None:
            return kept
        # Nothing is signed that was not true when it was signed.
        await self._catch_up()
        return await self._answers.make(der, request)


def _first_readable(possible: Iterable[bytes]) -> tuple[bytes, OCSPRequest]:
    fault: Fault | None = None
    for der in possible:
        try:
            return der, parse_request(der)
        except PeerFault as error:
            fault = fault or error
    raise fault or PeerFault(Kind.MALFORMED, "there is no request")


def _status(error: Exception) -> ResponseStatus:
    if not isinstance(error, Fault):
        log.error("ocsp.broke", exc_info=error)
        return ResponseStatus.INTERNAL_ERROR
    status = RESPONSE_STATUSES[error.kind]
    if status is ResponseStatus.INTERNAL_ERROR:
        log.error("ocsp.failed", reason=error.message, detail=error.detail)
    return status


def _caching(answer: Answer) -> Headers:
    if not answer.is_kept:
        return [(b"cache-control", _NOT_CACHED)]
    # Wherever an answer leaves, this much of its life is left: it is handed out until `fresh_until` only.
    cached_s = min(CACHED_S_MAX, int((answer.next_update - answer.fresh_until).total_seconds()))
    return [
        (b"last-modified", format_datetime(answer.this_update, usegmt=True).encode()),
        (b"expires", format_datetime(answer.next_update, usegmt=True).encode()),
        (b"etag", answer.etag),
        (b"cache-control", f"max-age={cached_s}, public, no-transform, must-revalidate".encode()),
    ]


def _headers(body: bytes, caching: Headers) -> Headers:
    return [(b"content-type", RESPONSE_TYPE), (b"content-length", str(len(body)).encode()), *caching]


def _header(scope: Scope, name: bytes) -> bytes:
    headers: Headers = scope["headers"]
    return next((value for key, value in headers if key == name), b"")


async def _body(receive: Receive) -> bytes:
    """Return the body; where it is too long, no more of it than shows that. Raises `ClientDisconnect`."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > OCSP_REQUEST_BYTES_MAX or not message.get("more_body", False):
            return bytes(body)


async def _send(scope: Scope, send: Send, body: bytes, headers: Headers, status: HTTPStatus = HTTPStatus.OK) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
