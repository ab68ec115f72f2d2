"""The resources of a provisioning template: a thing, its certificate, its policies, each read with its overrides. Pure.

No function works inside a policy's document, and no parameter names a policy: a device would write its own rights.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from troth.enrollment.template_values import PSEUDO, Join, Ref, Value, parse_text, parts, refs
from troth.errors import Fault, Kind
from troth.limits import GROUPS_PER_THING_MAX
from troth.names import parse_policy_name
from troth.policy.document import parse_document
from troth.policy.elements import inside, members, refuse, shown, string, suggest

CERTIFICATE_ID: Final = f"{PSEUDO}Id"


class TemplateType(StrEnum):
    """Who becomes a thing by a template."""

    FLEET_PROVISIONING = "FLEET_PROVISIONING"
    """Devices that ask over MQTT with a claim certificate."""
    JITP = "JITP"
    """Devices that come for the first time with a certificate of a registered CA."""
    BULK = "BULK"
    """What an operator lists in a file."""


class Override(StrEnum):
    """What to do with a property of something that exists."""

    DO_NOTHING = "DO_NOTHING"
    REPLACE = "REPLACE"
    FAIL = "FAIL"
    MERGE = "MERGE"


@dataclass(frozen=True, slots=True)
class ThingResource:
    """The thing to be made, or to be found."""

    name: Value
    type: Value | None
    attributes: Mapping[str, Value]
    on_attributes: Override
    on_type: Override
    groups: tuple[Value, ...]
    on_groups: Override


@dataclass(frozen=True, slots=True)
class CertificateResource:
    """Its certificate. One of `certificate_id`, `request` and `pem` is given."""

    certificate_id: Value | None
    request: Value | None
    pem: Value | None
    status: Value
    exclusive: bool
    on_status: Override


@dataclass(frozen=True, slots=True)
class PolicyResource:
    """A policy of the thing: one that exists, or one to be made of a document."""

    name: Value | None
    document: str | None


_THING: Final = ("ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup", "PackageVersions")
_NOT_OFFERED: Final = ("PackageVersions",)
_CERTIFICATE: Final = (
    "CertificateId",
    "CertificateSigningRequest",
    "CertificatePem",
    "CACertificatePem",
    "Status",
    "ThingPrincipalType",
)
_POLICY: Final = ("PolicyName", "PolicyDocument")
_WAYS: Final = _CERTIFICATE[:3]
_EXCLUSIVE: Final = {"EXCLUSIVE_THING": True, "NON_EXCLUSIVE_THING": False}
_WITHOUT_MERGE: Final = (Override.DO_NOTHING, Override.REPLACE, Override.FAIL)


def _check(properties: Mapping[str, object], place: str, known: tuple[str, ...]) -> None:
    for name in properties:
        if name not in known:
            refuse(inside(place, name), "is no property of this resource", suggest(name, known))


def _override(overrides: dict[str, object], place: str, name: str, allowed: tuple[Override, ...]) -> Override:
    word = overrides.pop(name, Override.DO_NOTHING)
    found = next((each for each in allowed if word == each), None)
    if found is None:
        refuse(f"{place}.OverrideSettings.{name}", "is none of what can be done", f"use one of {', '.join(allowed)}")
    return found


def parse_thing(
    properties: dict[str, object], overrides: dict[str, object], place: str, type: TemplateType
) -> ThingResource:
    """Read a thing. `overrides` is used up, here and below. Raises `Fault` (malformed, unsupported)."""
    inner = inside(place, "Properties")
    _check(properties, inner, _THING)
    for name in _NOT_OFFERED:
        if name in properties or name in overrides:
            raise Fault(Kind.UNSUPPORTED, f"{inside(inner, name)}: {name} is not offered here", hint="leave it out")
    if "ThingName" not in properties:
        refuse(inside(inner, "ThingName"), "is missing", 'write {"Ref": "NAME"} of a parameter')
    attributes = properties.get("AttributePayload")
    where = inside(inner, "AttributePayload")
    kind = properties.get("ThingTypeName")
    resource = ThingResource(
        parse_text(properties["ThingName"], inside(inner, "ThingName")),
        parse_text(kind, inside(inner, "ThingTypeName")) if kind is not None else None,
        {key: parse_text(each, inside(where, key)) for key, each in members(attributes, where).items()}
        if attributes is not None
        else {},
        _override(overrides, place, "AttributePayload", tuple(Override)),
        _override(overrides, place, "ThingTypeName", _WITHOUT_MERGE),
        tuple(_groups(properties, inner, type)),
        _override(overrides, place, "ThingGroups", tuple(Override)),
    )
    _check(overrides, inside(place, "OverrideSettings"), ("AttributePayload", "ThingTypeName", "ThingGroups"))
    return resource


def _groups(properties: Mapping[str, object], inner: str, type: TemplateType) -> Iterator[Value]:
    """Yield the groups that a thing is put into. AWS's billing group is one of them here: a name, and nobody's bill."""
    named = properties.get("ThingGroups", [])
    where = inside(inner, "ThingGroups")
    if not isinstance(named, list):
        refuse(where, "is no array", 'write ["GROUP"]')
    places = [(each, f"{where}[{at}]") for at, each in enumerate(named)]
    if "BillingGroup" in properties:
        places.append((properties["BillingGroup"], inside(inner, "BillingGroup")))
    if len(places) > GROUPS_PER_THING_MAX:
        refuse(where, f"names more than {GROUPS_PER_THING_MAX} groups", "a thing is in no more")
    for each, place in places:
        yield _chosen_by_the_server(each, place, "group", type)


def parse_certificate(
    properties: dict[str, object], overrides: dict[str, object], place: str, type: TemplateType
) -> CertificateResource:
    """Read a certificate. Raises `Fault` (malformed)."""
    inner = inside(place, "Properties")
    _check(properties, inner, _CERTIFICATE)
    ways = [name for name in _WAYS if name in properties]
    if len(ways) != 1:
        refuse(inner, "does not say which certificate it is", f"give one of {', '.join(_WAYS)}")
    values = {name: parse_text(properties[name], inside(inner, name)) for name in ways}
    if type is not TemplateType.BULK and values.get("CertificateId") != Ref(CERTIFICATE_ID):
        refuse(
            inside(inner, ways[0]), "is not the device's own", f'write "CertificateId": {{"Ref": "{CERTIFICATE_ID}"}}'
        )
    kind = string(properties.get("ThingPrincipalType", "NON_EXCLUSIVE_THING"), inside(inner, "ThingPrincipalType"))
    if kind not in _EXCLUSIVE:
        refuse(inside(inner, "ThingPrincipalType"), f"{shown(kind)} is no kind", suggest(kind, _EXCLUSIVE))
    on_status = _override(overrides, place, "Status", _WITHOUT_MERGE)
    _check(overrides, inside(place, "OverrideSettings"), ("Status",))
    status = parse_text(properties.get("Status", "ACTIVE"), inside(inner, "Status"))
    if isinstance(status, str) and status.upper() not in {"ACTIVE", "INACTIVE"}:
        refuse(inside(inner, "Status"), f"{shown(status)} is no status", "write ACTIVE or INACTIVE")
    return CertificateResource(
        values.get("CertificateId"),
        values.get("CertificateSigningRequest"),
        values.get("CertificatePem"),
        status,
        _EXCLUSIVE[kind],
        on_status,
    )


def parse_policy(
    properties: dict[str, object], overrides: dict[str, object], place: str, type: TemplateType
) -> PolicyResource:
    """Read a policy. Raises `Fault` (malformed, too large)."""
    inner = inside(place, "Properties")
    _check(properties, inner, _POLICY)
    if overrides:
        refuse(inside(place, "OverrideSettings"), "has no place with a policy", "leave it out")
    if not properties or ("PolicyName" not in properties and "PolicyDocument" not in properties):
        refuse(inner, "names no policy", "give PolicyName, PolicyDocument, or both")
    name = (
        _policy_name(properties["PolicyName"], inside(inner, "PolicyName"), type)
        if "PolicyName" in properties
        else None
    )
    where = inside(inner, "PolicyDocument")
    document = _document(properties["PolicyDocument"], where) if "PolicyDocument" in properties else None
    return PolicyResource(name, document)


def _policy_name(value: object, place: str, type: TemplateType) -> Value:
    name = _chosen_by_the_server(value, place, "policy", type)
    if isinstance(name, str):
        parse_policy_name(name)
    if _holds_join(name):
        refuse(place, "Fn::Join has no place in a policy", "use Fn::FindInMap")
    return name


def _chosen_by_the_server(value: object, place: str, what: str, type: TemplateType) -> Value:
    """Read the name of something that gives rights: no device names the one that it likes best."""
    name = parse_text(value, place)
    if type is not TemplateType.BULK and any(True for _ in refs(name, as_keys=False)):
        refuse(place, f"would let a device choose any {what}", "look it up: Fn::FindInMap with the parameter as a key")
    return name


def _holds_join(value: Value) -> bool:
    return isinstance(value, Join) or any(map(_holds_join, parts(value)))


def _document(value: object, place: str) -> str:
    text = string(value, place) if isinstance(value, str) else json.dumps(_plain(value, place), separators=(",", ":"))
    try:
        parse_document(text)
    except Fault as fault:
        raise Fault(fault.kind, f"{place}: {fault.message}", hint=fault.hint) from fault
    return text


def _plain(value: object, place: str) -> object:
    """Return JSON as `json` writes it. No function works in a policy: a device would write its own rights."""
    if isinstance(value, list):
        return [_plain(each, f"{place}[{at}]") for at, each in enumerate(value)]
    if isinstance(value, str | bool) or value is None:
        return value
    found = members(value, place)
    for name in found:
        if name == "Ref" or name.startswith("Fn::"):
            refuse(
                inside(place, name), "a function has no place in a policy document", "use policy variables: ${iot:...}"
            )
    return {name: _plain(each, inside(place, name)) for name, each in found.items()}
