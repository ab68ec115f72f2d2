"""AWS IoT's data plane over HTTPS: a message published, a retained one read, a connection ended, by who is let in.

The identity is the client certificate's, judged as at the MQTT door; policy decides each request. Nothing of a body is
read before its sender may send it. AWS IoT API reference, data plane: Publish, GetRetainedMessage, DeleteConnection.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from troth.errors import Fault, Kind, PeerFault
from troth.gateway.admission import Admission
from troth.gateway.denials import Denials
from troth.gateway.grants import Peer
from troth.gateway.http.posts import address_of, peer_of
from troth.gateway.http.uploads import read_body
from troth.gateway.mqtt.courier import Courier
from troth.gateway.mqtt.denying import deny, deny_reading
from troth.gateway.mqtt.flight import Flight
from troth.gateway.mqtt.names import Names
from troth.gateway.readings import Readings
from troth.gateway.refusal import Refusal
from troth.gateway.report import Report, Who
from troth.keys.randomness import random_id
from troth.limits import Limits
from troth.policy.actions import Action
from troth.policy.engine import Grant
from troth.protocols.mqtt import Publish, build_publish
from troth.protocols.mqtt.topics import topic_problem

TOPICS: Final = "/topics/"
RETAINED: Final = "/retainedMessage/"
CONNECTIONS: Final = "/connections/"
PATHS: Final = (TOPICS, RETAINED, CONNECTIONS)

Kick = Callable[[str, str, bool], Awaitable[int]]
"""Ends the sessions of a client id: the actor, the client id, whether wills are sent; how many there were."""

_WORDS: Final = {
    HTTPStatus.BAD_REQUEST: "InvalidRequestException",
    HTTPStatus.UNAUTHORIZED: "UnauthorizedException",
    HTTPStatus.FORBIDDEN: "ForbiddenException",
    HTTPStatus.NOT_FOUND: "ResourceNotFoundException",
    HTTPStatus.METHOD_NOT_ALLOWED: "MethodNotAllowedException",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RequestEntityTooLargeException",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailableException",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalFailureException",
}

log = structlog.get_logger()


_STATUSES: Final[Mapping[Kind, HTTPStatus]] = MappingProxyType(
    {
        Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        Kind.REJECTED: HTTPStatus.BAD_REQUEST,
        Kind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }
)
"""Faults that are told as they are."""


class Wrong(Exception):
    """A request that ends in an error of AWS's."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks, proven, and what it may do."""

    grant: Grant
    denials: Denials
    certificate_id: str
    thing: str | None

    def must_sign(self, actions: Sequence[Action], topic: str) -> bool:
        """Say whether it may do all of these on a topic, and one of them with a signed message alone."""
        unsigned = [self.grant.decide(each, topic).allowed for each in actions]
        signed = [self.grant.may_if_signed(each, topic) for each in actions]
        return not all(unsigned) and all(a if b is None else b for a, b in zip(unsigned, signed, strict=True))


class DataDoor:
    """The ASGI application below the paths of the data plane."""

    def __init__(
        self,
        admission: Admission,
        courier: Courier,
        readings: Readings,
        names: Names,
        report: Report,
        limits: Limits,
        flight: Flight,
        kick: Kick,
    ) -> None:
        self._admission = admission
        self._readings = readings
        self._courier = courier
        self._names = names
        self._report = report
        self._payload_bytes_max = limits.payload_bytes_max or limits.packet_bytes
        self._flight = flight
        self._kick = kick

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        trace = random_id()
        try:
            response = await self._answer(request, trace)
        except ClientDisconnect:
            return
        except Wrong as wrong:
            response = _failure(wrong.status, str(wrong), trace)
        except Fault as fault:
            status = _STATUSES.get(fault.kind, HTTPStatus.INTERNAL_SERVER_ERROR)
            log.warning("data.failed", peer=address_of(request), reason=fault.message, detail=fault.detail)
            response = _failure(status, fault.message if fault.kind in _STATUSES else "internal failure", trace)
        except Exception:
            log.exception("data.broke", peer=address_of(request), path=request.url.path)
            response = _failure(HTTPStatus.INTERNAL_SERVER_ERROR, "internal failure", trace)
        await response(scope, receive, send)

    async def _answer(self, request: Request, trace: str) -> Response:
        prefix = next(each for each in PATHS if request.url.path.startswith(each))
        asker = await self._admit(request, trace)
        name = _name_in(request, prefix)
        match prefix, request.method:
            case ("/topics/", "POST"):
                return await self._publish(request, asker, name, trace)
            case ("/retainedMessage/", "GET"):
                return await self._retained(asker, name)
            case ("/connections/", "DELETE"):
                return await self._disconnect(request, asker, name)
        raise Wrong(HTTPStatus.METHOD_NOT_ALLOWED, f"{prefix} has no {request.method}")

    async def _admit(self, request: Request, trace: str) -> _Asker:
        tls = peer_of(request)
        if tls is None or tls.certificate_id is None or tls.is_expired or tls.is_stranger:
            raise Wrong(HTTPStatus.FORBIDDEN, "a client certificate in force is needed here")
        host, port = request.client or ("", 0)
        peer = Peer(tls.certificate_id, host, port, tls.server_name, tls.version.removeprefix("TLSv"))
        who = Who(trace, peer.address, peer.certificate_id)
        try:
            known = await self._admission.principal(peer.certificate_id)
            thing, grant = self._admission.allow(known, peer)
        except Refusal as refusal:
            self._report.refused(who, refusal)
            status = HTTPStatus.SERVICE_UNAVAILABLE if refusal.kind is Kind.UNAVAILABLE else HTTPStatus.FORBIDDEN
            raise Wrong(status, "forbidden") from refusal
        who = Who(trace, peer.address, peer.certificate_id, thing)
        return _Asker(grant, Denials(self._report, who), peer.certificate_id, thing)

    async def _publish(self, request: Request, asker: _Asker, topic: str, trace: str) -> Response:
        qos, retain = request.query_params.get("qos", "0"), request.query_params.get("retain", "false").lower()
        if qos not in {"0", "1"} or retain not in {"true", "false"}:
            raise Wrong(HTTPStatus.BAD_REQUEST, "qos must be 0 or 1, retain true or false")
        retains = retain == "true"
        actions = (Action.PUBLISH, Action.RETAIN_PUBLISH) if retains else (Action.PUBLISH,)
        must_be_signed = self._names.topic_problem(topic) is None and asker.must_sign(actions, topic)
        if not must_be_signed:
            for action in actions:
                self._require(asker, action, topic, "publish.denied")
        payload = await self._body(request)
        if must_be_signed:
            await self._require_signed(asker, build_publish(topic, payload, retain=retains))
        await self._courier.publish(topic, payload, qos=int(qos), retain=retains)
        self._report.allowed(Action.PUBLISH)
        return _json({"message": "OK", "traceId": trace})

    async def _retained(self, asker: _Asker, topic: str) -> Response:
        self._require(asker, Action.GET_RETAINED_MESSAGE, topic, "retained.denied")
        found = await self._courier.find_retained(topic)
        self._report.allowed(Action.GET_RETAINED_MESSAGE)
        if found is None:
            raise Wrong(HTTPStatus.NOT_FOUND, "nothing is retained for this topic")
        return _json({"topic": topic, "payload": base64.b64encode(found.payload).decode(), "qos": min(found.qos, 1)})

    async def _disconnect(self, request: Request, asker: _Asker, client_id: str) -> Response:
        decision = asker.grant.decide(Action.DELETE_CONNECTION, client_id)
        if not decision.allowed or client_id.startswith("$"):
            deny(asker.denials, asker.grant, "kick.denied", Action.DELETE_CONNECTION, client_id, "client-id-invalid")
            raise Wrong(HTTPStatus.FORBIDDEN, "forbidden")
        prevents = request.query_params.get("preventWillMessage", "false").lower() == "true"
        actor = f"device:{asker.thing}" if asker.thing else f"certificate:{asker.certificate_id}"
        ended = await self._kick(actor, client_id, not prevents)
        self._report.allowed(Action.DELETE_CONNECTION)
        if not ended:
            raise Wrong(HTTPStatus.NOT_FOUND, "no connection has this client id")
        return Response(status_code=HTTPStatus.OK)

    async def _require_signed(self, asker: _Asker, message: Publish) -> None:
        """Raise `Wrong` unless a message is a signed reading that policy allows; `Fault` when nobody can know."""
        checker = self._readings.checker(asker.certificate_id, asker.thing)
        await self._readings.open(checker)
        try:
            if checker.allows(asker.grant, message):
                return
            assert checker.judgement is not None, "its signature counts"
            deny_reading(asker.denials, asker.grant, Action.PUBLISH, message.topic, checker.judgement)
        finally:
            self._readings.close(checker)
        raise Wrong(HTTPStatus.FORBIDDEN, "forbidden")

    async def _body(self, request: Request) -> bytes:
        """Return what is posted. Raises `PeerFault` when that is too much, for itself or for all together."""
        announced, most = request.headers.get("content-length", ""), self._payload_bytes_max
        if announced.isascii() and announced.isdigit() and int(announced) > most:
            raise PeerFault(Kind.TOO_LARGE, f"a message may have {most} bytes")
        return await read_body(request.stream(), most, self._flight)

    def _require(self, asker: _Asker, action: Action, topic: str, event: str) -> None:
        problem = self._names.topic_problem(topic)
        if problem is not None or not asker.grant.decide(action, topic).allowed:
            deny(asker.denials, asker.grant, event, action, topic, problem)
            raise Wrong(HTTPStatus.FORBIDDEN, "forbidden")


def _name_in(request: Request, prefix: str) -> str:
    """Return the topic or client id of a path. Raises `Wrong` for what can be neither."""
    raw: bytes = request.scope["raw_path"]
    try:
        name = unquote_to_bytes(raw[len(prefix) :]).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Wrong(HTTPStatus.BAD_REQUEST, "the path is not UTF-8") from error
    problem = topic_problem(name)
    if problem is not None:
        raise Wrong(HTTPStatus.BAD_REQUEST, problem)
    return name


def _json(value: dict[str, object]) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(json.dumps(value).encode(), HTTPStatus.OK, headers)


def _failure(status: HTTPStatus, message: str, trace: str) -> Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", "x-amzn-ErrorType": _WORDS[status]}
    return Response(json.dumps({"message": message, "traceId": trace}).encode(), status, headers)
