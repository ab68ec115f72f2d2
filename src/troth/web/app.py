"""The operators' door as an ASGI application: ``/health`` (this process lives), ``/ready`` (the home can work) and
``/metrics`` (what Prometheus scrapes).

Every request is for operators, these two too: what runs where is nobody else's business.
"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from troth.clock import Clock
from troth.errors import Fault, Kind
from troth.protocols import problem
from troth.store.connect import Database
from troth.store.read import read
from troth.web.guard import require_operator, shown_certificate
from troth.web.metrics import CONTENT_TYPE, render_metrics
from troth.web.readiness import GOOD, look

HEALTH_PATH: Final = "/health"
READY_PATH: Final = "/ready"
METRICS_PATH: Final = "/metrics"

log = structlog.get_logger()


class OperatorsDoor:
    """The ASGI application of the operators' door. `bell` is the authority's on this host; None when it has none."""

    def __init__(self, db: Database, clock: Clock, bell: Path | None) -> None:
        self._db = db
        self._clock = clock
        self._bell = bell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Fault as fault:
            peer = request.client.host if request.client else None
            log.warning("operator.refused", peer=peer, path=request.url.path, reason=fault.detail or fault.message)
            response = _failure(fault)
        except Exception as error:
            log.exception("web.broke", path=request.url.path)
            response = _failure(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        identity = shown_certificate(request.scope.get("extensions") or {})
        path = request.url.path
        try:
            await asyncio.to_thread(self._require, identity)
        except Fault as fault:
            # Who watches this process must be able to tell its death from the database's.
            if path != HEALTH_PATH or fault.kind is not Kind.UNAVAILABLE:
                raise
        if path not in {HEALTH_PATH, READY_PATH, METRICS_PATH}:
            raise Fault(Kind.NOT_FOUND, "there is nothing at this path")
        if request.method not in {"GET", "HEAD"}:
            return Response(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
        if path == HEALTH_PATH:
            return _json(HTTPStatus.OK, {"status": "alive"})
        if path == METRICS_PATH:
            body = await asyncio.to_thread(self._metrics)
            return Response(body, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
        parts = await asyncio.to_thread(look, self._db, self._bell)
        ready = all(part in GOOD for part in parts.values())
        return _json(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready, "parts": parts})

    def _metrics(self) -> bytes:
        with read(self._db) as connection:
            return render_metrics(connection, self._clock.now())

    def _require(self, identity: str) -> None:
        with read(self._db) as connection:
            require_operator(connection, identity, self._clock.now())


def _json(status: HTTPStatus, value: Mapping[str, object]) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps(value).encode(), status, headers)


def _failure(error: Exception) -> Response:
    status, headers, body = problem.render(error)
    return Response(body, status, dict(headers))
