"""What a template comes to with the parameters of one device: the changes that are to be made. Pure; makes none."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from troth.enrollment.template_resources import CertificateResource, Override, ThingResource
from troth.enrollment.template_text import Template
from troth.enrollment.template_values import Value, evaluate_text
from troth.errors import Fault, Kind
from troth.names import parse_attribute, parse_group_name, parse_policy_name, parse_thing_name, parse_type_name


@dataclass(frozen=True, slots=True)
class ThingPlan:
    """The thing, and what to do where it exists."""

    name: str
    type: str | None
    attributes: Mapping[str, str]
    on_type: Override
    on_attributes: Override
    groups: tuple[str, ...]
    on_groups: Override


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """The certificate: by its id, or by a request or a certificate in PEM."""

    certificate_id: str | None
    request: str | None
    pem: str | None
    active: bool
    exclusive: bool
    on_status: Override


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A policy to attach; to be made where `document` is given."""

    name: str
    document: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes for one device."""

    thing: ThingPlan
    certificate: CertificatePlan | None
    policies: tuple[PolicyPlan, ...]
    configuration: Mapping[str, str]


class _Values:
    def __init__(self, template: Template, parameters: Mapping[str, str]) -> None:
        self._mappings = template.mappings
        self._parameters = parameters

    def text(self, value: Value) -> str:
        return evaluate_text(value, self._parameters, self._mappings)

    def optional(self, value: Value | None) -> str | None:
        return None if value is None else self.text(value)

    def texts(self, values: Mapping[str, Value]) -> dict[str, str]:
        return {name: self.text(value) for name, value in values.items()}


def plan(template: Template, parameters: Mapping[str, str], own: Mapping[str, str]) -> Plan:
    """Return the changes for one device.

    `parameters` are the device's, or its operator's; `own` are the server's, ``AWS::IoT::Certificate::Id`` and the
    like. Raises `Fault`: rejected for a parameter that is missing, not declared or the server's own, and for what
    cannot be worked out; malformed and too large for what comes out of it.
    """
    for name in parameters:
        if name not in template.parameters or name.startswith("AWS::"):
            hint = "declare it under Parameters, or do not send it"
            raise Fault(Kind.REJECTED, f"the template has no parameter {name[:60]!r}", hint=hint)
    given = {**_defaults(template), **parameters, **own}
    for name in template.parameters:
        if name not in given:
            raise Fault(Kind.REJECTED, f"parameter {name[:60]!r} is missing")
    values = _Values(template, given)
    return Plan(
        _thing(template.thing, values),
        _certificate(template.certificate, values) if template.certificate else None,
        tuple(_policy(values.optional(each.name), each.document) for each in template.policies),
        values.texts(template.configuration),
    )


def _defaults(template: Template) -> dict[str, str]:
    return {name: default for name, default in template.parameters.items() if default is not None}


def _thing(thing: ThingResource, values: _Values) -> ThingPlan:
    kind = values.optional(thing.type)
    return ThingPlan(
        parse_thing_name(values.text(thing.name)),
        None if kind is None else parse_type_name(kind),
        dict(parse_attribute(*pair) for pair in values.texts(thing.attributes).items()),
        thing.on_type,
        thing.on_attributes,
        tuple(dict.fromkeys(parse_group_name(values.text(each)) for each in thing.groups)),
        thing.on_groups,
    )


def _certificate(certificate: CertificateResource, values: _Values) -> CertificatePlan:
    status = values.text(certificate.status).upper()
    if status not in {"ACTIVE", "INACTIVE"}:
        raise Fault(Kind.REJECTED, f"{status[:20]!r} is no status of a certificate", hint="it is ACTIVE or INACTIVE")
    return CertificatePlan(
        values.optional(certificate.certificate_id),
        values.optional(certificate.request),
        values.optional(certificate.pem),
        status == "ACTIVE",
        certificate.exclusive,
        certificate.on_status,
    )


def _policy(name: str | None, document: str | None) -> PolicyPlan:
    if name is None:
        # As on AWS, a policy without a name is called by its document, so that a fleet shares one.
        name = hashlib.sha256((document or "").encode()).hexdigest()
    return PolicyPlan(parse_policy_name(name), document)
