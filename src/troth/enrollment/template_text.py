"""From the text of a provisioning template to a value, or to a fault that names the place and the remedy. Pure.

AWS IoT developer guide, "Provisioning templates", with the differences that ``docs/provisioning.md`` lists.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from troth.enrollment.template_resources import (
    CERTIFICATE_ID,
    CertificateResource,
    PolicyResource,
    TemplateType,
    ThingResource,
    parse_certificate,
    parse_policy,
    parse_thing,
)
from troth.enrollment.template_values import PSEUDO, Mappings, Value, parse_text, refs
from troth.errors import Fault, Kind
from troth.limits import TEMPLATE_CHARS_MAX, TEMPLATE_RESOURCES_MAX
from troth.policy.elements import inside, known_members, members, parse_json, refuse, shown, string, strings, suggest

CERTIFICATE_NAMES: Final = frozenset(
    PSEUDO + name
    for name in (
        "Country",
        "Organization",
        "OrganizationalUnit",
        "DistinguishedNameQualifier",
        "StateName",
        "CommonName",
        "SerialNumber",
        "Id",
    )
)
"""What the server knows of a certificate that comes for the first time (JITP); of any other it gives its id."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read."""

    parameters: Mapping[str, str | None]
    """Name -> default; None where it must be given."""
    mappings: Mappings
    thing: ThingResource
    certificate: CertificateResource | None
    policies: tuple[PolicyResource, ...]
    configuration: Mapping[str, Value]


_SECTIONS: Final = ("Parameters", "Mappings", "Resources", "DeviceConfiguration")
_KINDS: Final = ("AWS::IoT::Thing", "AWS::IoT::Certificate", "AWS::IoT::Policy")
_Found = tuple[dict[str, object], dict[str, object], str]
"""Properties, override settings and place of one resource."""


def parse_template(text: str, type: TemplateType) -> Template:
    """Read a template.

    Raises `Fault`: too large above `TEMPLATE_CHARS_MAX` characters; malformed, with the place in the message and the
    remedy in the hint; unsupported for what Troth does not offer.
    """
    if len(text) > TEMPLATE_CHARS_MAX:
        raise Fault(Kind.TOO_LARGE, f"the template has more than {TEMPLATE_CHARS_MAX} characters")
    document = _members(parse_json(text), "", _SECTIONS)
    if type is TemplateType.JITP and "DeviceConfiguration" in document:
        refuse("DeviceConfiguration", "reaches no device that connects for the first time", "leave it out")
    parameters = dict(_parameters(document.get("Parameters")))
    things, certificates, policies = _resources(document)
    template = Template(
        parameters,
        _mappings(document.get("Mappings")),
        parse_thing(*_only(things, "Thing"), type),
        parse_certificate(*_only(certificates, "Certificate"), type)
        if certificates or type is not TemplateType.BULK
        else None,
        tuple(parse_policy(*each, type) for each in policies),
        _configuration(document.get("DeviceConfiguration")),
    )
    _check_refs(template, type)
    return template


def _members(value: object, place: str, known: tuple[str, ...]) -> dict[str, object]:
    return known_members(value, place, known, {}, "an element of a template")


def _parameters(value: object) -> Iterator[tuple[str, str | None]]:
    for name, declared in members(value, "Parameters").items() if value is not None else ():
        place = inside("Parameters", name)
        if name.startswith("AWS::") and name not in CERTIFICATE_NAMES:
            refuse(place, "is a name of the server's own that it does not know", suggest(name, CERTIFICATE_NAMES))
        found = _members(declared, place, ("Type", "Default"))
        if found.get("Type") != "String":
            refuse(inside(place, "Type"), "is not String", 'write "Type": "String", which is the only type')
        yield name, string(found["Default"], inside(place, "Default")) if "Default" in found else None


def _mappings(value: object) -> Mappings:
    if value is None:
        return {}
    found: dict[str, dict[str, dict[str, str | tuple[str, ...]]]] = {}
    for name, first in members(value, "Mappings").items():
        place = inside("Mappings", name)
        found[name] = {}
        for key, second in members(first, place).items():
            inner = inside(place, key)
            found[name][key] = {
                last: _mapped(each, inside(inner, last)) for last, each in members(second, inner).items()
            }
    return found


def _mapped(value: object, place: str) -> str | tuple[str, ...]:
    # No functions here: what a mapping holds is what stands in it.
    return tuple(text for text, _ in strings(value, place)) if isinstance(value, list) else string(value, place)


def _resources(document: Mapping[str, object]) -> tuple[list[_Found], list[_Found], list[_Found]]:
    if "Resources" not in document:
        refuse("Resources", "is missing", "say what is to be made: a thing, a certificate, policies")
    found: dict[str, list[_Found]] = {kind: [] for kind in _KINDS}
    resources = members(document["Resources"], "Resources")
    if len(resources) > TEMPLATE_RESOURCES_MAX:
        refuse("Resources", f"has more than {TEMPLATE_RESOURCES_MAX} members", "join policies into one document")
    for name, value in resources.items():
        place = inside("Resources", name)
        resource = _members(value, place, ("Type", "Properties", "OverrideSettings"))
        kind = string(resource.get("Type", ""), inside(place, "Type"))
        if kind not in found:
            refuse(inside(place, "Type"), f"{shown(kind)} is no resource", suggest(kind, _KINDS))
        settings = resource.get("OverrideSettings")
        overrides = members(settings, inside(place, "OverrideSettings")) if settings is not None else {}
        found[kind].append((members(resource.get("Properties"), inside(place, "Properties")), overrides, place))
    return found[_KINDS[0]], found[_KINDS[1]], found[_KINDS[2]]


def _only(found: list[_Found], what: str) -> _Found:
    if len(found) != 1:
        refuse("Resources", f"does not have one AWS::IoT::{what}", "a template makes one thing with one certificate")
    return found[0]


def _configuration(value: object) -> dict[str, Value]:
    if value is None:
        return {}
    place = "DeviceConfiguration"
    return {name: parse_text(each, inside(place, name)) for name, each in members(value, place).items()}


def _check_refs(template: Template, type: TemplateType) -> None:
    known = {*template.parameters, *(CERTIFICATE_NAMES if type is TemplateType.JITP else {CERTIFICATE_ID})}
    for place, value in _values(template):
        for name in refs(value):
            if name not in known:
                refuse(place, f"there is no parameter {shown(name)}", suggest(name, known))


def _values(template: Template) -> Iterator[tuple[str, Value]]:
    thing, certificate = template.thing, template.certificate
    yield "ThingName", thing.name
    if thing.type is not None:
        yield "ThingTypeName", thing.type
    yield from ((f"AttributePayload.{name}", each) for name, each in thing.attributes.items())
    yield from (("ThingGroups", each) for each in thing.groups)
    if certificate is not None:
        for each in (certificate.certificate_id, certificate.request, certificate.pem, certificate.status):
            if each is not None:
                yield "Certificate", each
    yield from (("PolicyName", each.name) for each in template.policies if each.name is not None)
    yield from ((f"DeviceConfiguration.{name}", each) for name, each in template.configuration.items())
