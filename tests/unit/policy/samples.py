"""Policies, connections and requests for the tests of this room: single ones by hand, many by hypothesis."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from troth.names import Realm
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext, Thing
from troth.policy.document import parse_document
from troth.policy.statement import Document
from troth.x509.certificates import CertificateAttributes

REALM = Realm("aws", "local", "000000000000")
CERTIFICATE_ID = "9f" * 32
CERTIFICATE = CertificateAttributes(
    certificate_id=CERTIFICATE_ID,
    serial_number="1007",
    subject={"CommonName": ("lamp-9",), "OrganizationalUnit": ("ops", "admin")},
    issuer={"CommonName": ("Home devices CA 1",)},
    san={"DNSName": ("lamp-9.home.example",)},
    issuer_alternative_name={},
)
THING = Thing("lamp-9", "Lamp", {"room": "a", "level": "7"})
CONTEXT = ConnectionContext(
    realm=REALM, certificate=CERTIFICATE, source_ip="192.0.2.7", client_id="lamp-9", thing=THING
)


def arn(resource: str) -> str:
    return f"arn:aws:iot:local:000000000000:{resource}"


def document(*statements: Mapping[str, Any], version: str | None = "2012-10-17") -> Document:
    whole = {"Statement": list(statements)} | ({} if version is None else {"Version": version})
    return parse_document(json.dumps(whole))


def policy(*statements: Mapping[str, Any], name: str = "tank", version: str | None = "2012-10-17") -> NamedPolicy:
    return NamedPolicy(name, document(*statements, version=version))


def statement(
    action: str | Sequence[str] = "iot:Publish",
    resource: str | Sequence[str] = "topic/a",
    *,
    effect: str = "Allow",
    condition: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    resources = [resource] if isinstance(resource, str) else resource
    made: dict[str, Any] = {
        "Effect": effect,
        "Action": action,
        "Resource": [each if each == "*" else arn(each) for each in resources],
    }
    return made if condition is None else made | {"Condition": condition}


def deny(action: str = "iot:Publish", resource: str = "topic/a", **others: Any) -> dict[str, Any]:
    return statement(action, resource, effect="Deny", **others)


# What follows is small on purpose: few words, so that patterns and requests often meet.

NAMES = st.text("ab/", min_size=1, max_size=4) | st.sampled_from(["lamp-9", "lamp-9/a", "*", "${iot:ClientId}"])
REQUESTS = st.tuples(
    st.sampled_from(["iot:Publish", "iot:RetainPublish", "iot:Subscribe", "iot:Receive", "iot:Connect"]), NAMES
)

_PIECES = (
    "a",
    "b",
    "/",
    "*",
    "?",
    "${*}",
    "${iot:ClientId}",
    "${iot:Connection.Thing.ThingTypeName}",
    "${iot:Connection.Thing.Attributes[room]}",
    "${iot:Certificate.Subject.CommonName}",
    "${no:Such}",
)
_OPERATORS = (
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringEqualsIfExists",
    "ForAllValues:StringLike",
    "ForAnyValue:StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "ArnLike",
)
_KEYS = (
    "iot:ClientId",
    "iot:Connection.Thing.ThingTypeName",
    "iot:Connection.Thing.Attributes[room]",
    "iot:Connection.Thing.IsAttached",
    "iot:Certificate.Subject.OrganizationalUnit.List",
    "iot:ConnectAttributes",
)
_PATTERNS = st.lists(st.sampled_from(_PIECES), max_size=4).map("".join)
_RESOURCES = st.just("*") | st.builds(
    lambda kind, name: arn(kind + name),
    st.sampled_from(["topic/", "topic/", "topicfilter/", "client/", "*"]),
    _PATTERNS,
)
_VALUES = st.lists(st.sampled_from(["true", "false", "${iot:Connection.Thing.IsAttached}"]), max_size=2)
_COMPARISONS = st.dictionaries(
    st.sampled_from(_OPERATORS), st.dictionaries(st.sampled_from(_KEYS), _VALUES, min_size=1, max_size=2), max_size=1
)
_OTHER_CONDITIONS = st.sampled_from(
    [
        {},
        {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
        {"Null": {"iot:ConnectAttributes": "true"}},
        {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
        {"DateGreaterThanEquals": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
    ]
)
_ACTIONS = st.lists(
    st.sampled_from(["iot:Publish", "iot:*Publish", "iot:Receive", "iot:Subscribe", "iot:Connect", "*"]),
    min_size=1,
    max_size=2,
)
STATEMENTS = st.builds(
    lambda effect, action, actions, resource, resources, condition: {
        "Effect": effect,
        action: actions,
        resource: resources,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["Action", "Action", "Action", "NotAction"]),
    _ACTIONS,
    st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]),
    st.lists(_RESOURCES, min_size=1, max_size=3),
    _COMPARISONS | _OTHER_CONDITIONS,
)
POLICIES = st.lists(
    st.builds(
        lambda name, version, statements: policy(*statements, name=name, version=version),
        st.sampled_from(["tank", "home"]),
        st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17", None]),
        st.lists(STATEMENTS, max_size=3),
    ),
    max_size=3,
)
CONTEXTS = st.builds(
    lambda client_id, thing, protocol, attributes: replace(
        CONTEXT, client_id=client_id, thing=thing, protocol=protocol, connect_attributes=attributes
    ),
    NAMES,
    st.sampled_from([THING, Thing("b", None, {"room": "*"}), None]),
    st.sampled_from(["mqtt", "https"]),
    st.sampled_from([(), ("LastWill",)]),
)
