"""Policies, connections and requests for the tests of this room: single ones by hand, many by hypothesis."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from tests.unit.policy import generators

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


STATEMENTS = generators.statements("Allow", "Allow", "Deny")
POLICIES = st.lists(generators.DOCUMENTS, max_size=3).map(generators.policies_of)
CONTEXTS = generators.CONTEXTS.map(generators.context_of)
REQUESTS = generators.REQUESTS
