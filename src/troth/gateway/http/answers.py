"""HTTP answers as values, and faults as answers. Knows no operation."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from troth.protocols import problem

NO_STORE: Final = "no-store"


def answer(body: bytes, content_type: str, *, cache: str = NO_STORE, **headers: str) -> Response:
    """Return a 200 with `body`; `cache` is its Cache-Control, `headers` are named with ``_`` for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": cache, **named})


def failure(error: Exception, *, challenge: str | None = None) -> Response:
    """Return the answer to a request that ended in `error`: `problem.render` says what is shown of it."""
    status, headers, body = problem.render(error, challenge=challenge)
    return Response(body, status, dict(headers))


def misuse(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a refusal that is about HTTP itself, which no fault names (RFC 9457, 4.2.1: ``about:blank``)."""
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    fixed = {"Content-Type": problem.CONTENT_TYPE, "Cache-Control": NO_STORE}
    return Response(json.dumps(members).encode(), status.value, {**fixed, **(headers or {})})


def wrong_method(*allowed: str) -> Response:
    """Return 405 with the methods that a path has (RFC 9110, 15.5.6)."""
    methods = ", ".join(allowed)
    return misuse(HTTPStatus.METHOD_NOT_ALLOWED, f"this path has {methods}", {"Allow": methods})


def not_found() -> Response:
    """Return 404."""
    return misuse(HTTPStatus.NOT_FOUND, "there is nothing at this path")
