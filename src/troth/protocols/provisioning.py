"""Fleet provisioning as AWS IoT speaks it over MQTT: topics, requests and answers as values, in JSON and in CBOR.

For both ends. Knows no certificate and no template. AWS IoT developer guide, "Device provisioning MQTT API".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from troth.errors import Fault, Kind, PeerFault
from troth.limits import (
    CSR_BYTES_MAX,
    PROVISIONING_BYTES_MAX,
    PROVISIONING_PARAMETER_CHARS_MAX,
    PROVISIONING_PARAMETERS_MAX,
    TOKEN_CHARS_MAX,
)
from troth.protocols.cbor import Value, parse_cbor, render_cbor

TEMPLATE_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,36}", re.ASCII)
PREFIXES: Final = ("$aws/certificates/create", "$aws/provisioning-templates/")
"""How every topic of this protocol begins."""
ACCEPTED: Final = "/accepted"
REJECTED: Final = "/rejected"

_TOPIC: Final = re.compile(
    r"\$aws/(?:certificates/(?P<operation>create|create-from-csr)"
    r"|provisioning-templates/(?P<template>[0-9A-Za-z_-]{1,36})/provision)"
    r"/(?P<format>json|cbor)(?P<answer>/accepted|/rejected)?",
    re.ASCII,
)


class Operation(StrEnum):
    """What is asked for."""

    CREATE = "create"
    """A new key pair and its certificate (CreateKeysAndCertificate)."""
    CREATE_FROM_CSR = "create-from-csr"
    """A certificate for a key of one's own (CreateCertificateFromCsr)."""
    PROVISION = "provision"
    """To become a thing by a template (RegisterThing)."""


class Format(StrEnum):
    """How the payload is written."""

    JSON = "json"
    CBOR = "cbor"


@dataclass(frozen=True, slots=True)
class Topic:
    """One of the topics of this protocol."""

    operation: Operation
    format: Format
    template: str | None
    """With PROVISION only."""
    is_answer: bool
    """It is where answers come; otherwise where requests go."""


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to either creation. `private_key` is in PEM, where it was made by the server."""

    certificate_id: str
    certificate_pem: str
    token: str = field(repr=False)
    private_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Registration:
    """What is shown to become a thing."""

    token: str = field(repr=False)
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer: which thing it has become, and its configuration."""

    thing: str
    configuration: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rejection:
    """The answer when nothing was done."""

    status: int
    """As HTTP has them."""
    code: str
    message: str


REJECTIONS: Final[Mapping[Kind, tuple[int, str]]] = {
    Kind.MALFORMED: (400, "InvalidRequest"),
    Kind.UNAUTHENTICATED: (400, "InvalidCertificateOwnershipToken"),
    Kind.FORBIDDEN: (403, "AccessDenied"),
    Kind.NOT_FOUND: (404, "ResourceNotFound"),
    Kind.CONFLICT: (409, "ResourceConflicts"),
    Kind.REJECTED: (400, "InvalidParameters"),
    Kind.BAD_KEY: (400, "InvalidCertificateSigningRequest"),
    Kind.TOO_LARGE: (413, "PayloadTooLarge"),
    Kind.RATE_LIMITED: (429, "Throttled"),
    Kind.EXPIRED: (400, "Expired"),
    Kind.UNSUPPORTED: (400, "Unsupported"),
    Kind.UNAVAILABLE: (503, "ServiceUnavailable"),
    Kind.MISCONFIGURED: (500, "InternalFailure"),
}
"""This protocol's rendering of `troth.errors.Kind`: status and code. AWS documents the form, and not the codes."""


def parse_topic(name: str) -> Topic | None:
    """Return the topic that `name` is; None when it is none of this protocol's."""
    found = _TOPIC.fullmatch(name)
    if found is None:
        return None
    operation = Operation(found["operation"]) if found["operation"] else Operation.PROVISION
    return Topic(operation, Format(found["format"]), found["template"], found["answer"] is not None)


def rejection(fault: Fault) -> Rejection:
    """Return the answer that tells of a fault, as far as the one who asked may know."""
    status, code = REJECTIONS[fault.kind]
    return Rejection(status, code, fault.message)


# What a device says.


def parse_create(form: Format, payload: bytes) -> None:
    """Read a request for a key pair: nothing, or an empty map. Raises `PeerFault`."""
    if payload:
        _members(form, payload, ())


def parse_create_from_csr(form: Format, payload: bytes) -> bytes:
    """Return the certification request, still to be read: PEM as a rule. Raises `PeerFault` (malformed, too large)."""
    members = _members(form, payload, ("certificateSigningRequest",))
    return _text(members, "certificateSigningRequest", 2 * CSR_BYTES_MAX).encode()


def parse_registration(form: Format, payload: bytes) -> Registration:
    """Read a request to become a thing. Raises `PeerFault` (malformed, too large)."""
    members = _members(form, payload, ("certificateOwnershipToken", "parameters"))
    token = _text(members, "certificateOwnershipToken", TOKEN_CHARS_MAX)
    parameters = members.get("parameters")
    return Registration(token, {} if parameters is None else check_parameters(parameters))


def check_parameters(value: object) -> dict[str, str]:
    """Return a map of text to text within the bounds of parameters. Raises `PeerFault` (malformed, too large)."""
    if not isinstance(value, Mapping):
        raise PeerFault(Kind.MALFORMED, "parameters are no map")
    if len(value) > PROVISIONING_PARAMETERS_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"there are more than {PROVISIONING_PARAMETERS_MAX} parameters")
    return {key: _text(value, key, PROVISIONING_PARAMETER_CHARS_MAX) for key in value}


def render_create_from_csr(form: Format, pem: str) -> bytes:
    """Return the request for a certificate of one's own key."""
    return _render(form, {"certificateSigningRequest": pem})


def render_registration(form: Format, asked: Registration) -> bytes:
    """Return the request to become a thing."""
    return _render(form, {"certificateOwnershipToken": asked.token, "parameters": asked.parameters})


# What the server says.


def render_answer(form: Format, answer: Created | Registered | Rejection) -> bytes:
    """Return an answer as its topic carries it."""
    match answer:
        case Created():
            said: dict[str, Value] = {
                "certificateId": answer.certificate_id,
                "certificatePem": answer.certificate_pem,
                "certificateOwnershipToken": answer.token,
            }
            if answer.private_key is not None:
                said["privateKey"] = answer.private_key
        case Registered():
            said = {"deviceConfiguration": answer.configuration, "thingName": answer.thing}
        case Rejection():
            said = {"statusCode": answer.status, "errorCode": answer.code, "errorMessage": answer.message}
    return _render(form, said)


def parse_created(form: Format, payload: bytes) -> Created:
    """Read the answer to a creation. Raises `PeerFault`."""
    names = ("certificateId", "certificatePem", "certificateOwnershipToken", "privateKey")
    members = _members(form, payload, names)
    identity, pem, token = (_text(members, name, PROVISIONING_BYTES_MAX) for name in names[:3])
    key = _text(members, names[3], PROVISIONING_BYTES_MAX) if names[3] in members else None
    return Created(identity, pem, token, key)


def parse_registered(form: Format, payload: bytes) -> Registered:
    """Read the answer that says which thing one has become. Raises `PeerFault`."""
    members = _members(form, payload, ("deviceConfiguration", "thingName"))
    thing = _text(members, "thingName", PROVISIONING_BYTES_MAX)
    configuration = members.get("deviceConfiguration", {})
    if not isinstance(configuration, Mapping):
        raise PeerFault(Kind.MALFORMED, "'deviceConfiguration' is no map")
    return Registered(thing, {name: _text(configuration, name, PROVISIONING_BYTES_MAX) for name in configuration})


def parse_rejection(form: Format, payload: bytes) -> Rejection:
    """Read the answer that says why nothing was done. Raises `PeerFault`."""
    members = _members(form, payload, ("statusCode", "errorCode", "errorMessage"))
    status = members.get("statusCode")
    if not isinstance(status, int) or isinstance(status, bool):
        raise PeerFault(Kind.MALFORMED, "'statusCode' is no number")
    code, message = (_text(members, name, PROVISIONING_BYTES_MAX) for name in ("errorCode", "errorMessage"))
    return Rejection(status, code, message)


def _members(form: Format, payload: bytes, names: tuple[str, ...]) -> Mapping[str, object]:
    if len(payload) > PROVISIONING_BYTES_MAX:
        raise PeerFault(Kind.TOO_LARGE, f"the payload has more than {PROVISIONING_BYTES_MAX} bytes")
    value: object = parse_cbor(payload) if form is Format.CBOR else _parse_json(payload)
    if not isinstance(value, Mapping):
        raise PeerFault(Kind.MALFORMED, "the payload is no map")
    for name in value:
        if name not in names:
            raise PeerFault(Kind.MALFORMED, f"{name[:40]!r} has no place in this payload")
    return value


def _parse_json(payload: bytes) -> object:
    try:
        return json.loads(payload.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise PeerFault(Kind.MALFORMED, "the payload is not JSON", detail=str(error)[:200]) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _text(members: Mapping[str, object], name: str, chars_max: int) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise PeerFault(Kind.MALFORMED, f"{name[:40]!r} is missing or no text")
    if len(value) > chars_max or len(name) > chars_max:
        raise PeerFault(Kind.TOO_LARGE, f"{name[:40]!r} has more than {chars_max} characters")
    try:
        (name + value).encode()
    except UnicodeEncodeError as error:
        raise PeerFault(Kind.MALFORMED, f"{name[:40]!a} holds half a character") from error
    return value


def _render(form: Format, said: Mapping[str, Value]) -> bytes:
    if form is Format.CBOR:
        return render_cbor(said)
    return json.dumps(said, default=dict, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
