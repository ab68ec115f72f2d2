"""The decided cases, each put to `evaluate` and to a `Grant`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from troth.names import Realm
from troth.policy.attachment import NamedPolicy, TargetKind, effective
from troth.policy.context import ConnectionContext, Thing, resolve_thing
from troth.policy.document import parse_document
from troth.policy.engine import make_grant
from troth.policy.reference import evaluate
from troth.x509.certificates import CertificateAttributes

VECTORS = json.loads((Path(__file__).parent / "vectors" / "policy-vectors.json").read_text())
EXPECTED = {"allow": "allow", "deny": "explicit-deny", "implicit-deny": "implicit-deny"}


def test_no_vector_is_missing() -> None:
    assert len(VECTORS) >= 446
    assert len({vector["id"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    context = context_of(vector)
    certificate_id = context.certificate.certificate_id
    policies = effective(attached_of(vector), certificate_id, context.thing, context.client_id)
    action, resource = vector["request"]["action"], vector["request"]["resource"]

    decision = evaluate(policies, action, resource, context)

    assert decision.outcome == EXPECTED[vector["expect"]], (vector["why"], decision.reason)
    assert make_grant(policies, context).decide(action, resource) == decision


def attached_of(vector: dict[str, Any]) -> list[NamedPolicy]:
    certificate_id = vector["context"]["certificate"]["id"]
    attached = [
        NamedPolicy(f"certificate-{index}", document_of(policy), TargetKind.CERTIFICATE, certificate_id)
        for index, policy in enumerate(vector["policies"])
    ]
    attached += [
        NamedPolicy(f"group-{index}", document_of(policy["document"]), TargetKind.GROUP, policy["group"])
        for index, policy in enumerate(vector.get("groupPolicies", ()))
    ]
    return attached


def document_of(policy: dict[str, Any]) -> Any:
    return parse_document(json.dumps(policy))


def context_of(vector: dict[str, Any]) -> ConnectionContext:
    given = vector["context"]
    certificate = given["certificate"]
    groups = frozenset(policy["group"] for policy in vector.get("groupPolicies", ()))
    return ConnectionContext(
        realm=Realm(given["partition"], given["region"], given["account"]),
        certificate=CertificateAttributes(
            certificate_id=certificate["id"],
            serial_number=certificate["serialNumber"] or "",
            subject=tuples(certificate["subject"]),
            issuer=tuples(certificate["issuer"]),
            san=tuples(certificate["san"]),
            issuer_alternative_name=tuples(certificate["issuerAlternativeName"]),
        ),
        source_ip=given["sourceIp"],
        protocol=given["protocol"],
        client_id=given["clientId"],
        thing=resolve_thing(things_of(given["thing"], groups), given["clientId"]),
        domain_name=given["domainName"],
        connect_attributes=tuple(given["connectAttributes"]),
        last_will_topic=given["lastWillTopic"],
        current_time=datetime.fromisoformat(given["currentTime"]) if "currentTime" in given else None,
    )


def things_of(thing: dict[str, Any] | None, groups: frozenset[str]) -> list[Thing]:
    if thing is None or not thing["attached"]:
        return []
    return [Thing(thing["name"], thing["type"], thing["attributes"], thing["exclusive"], groups)]


def tuples(attributes: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(values) for name, values in attributes.items()}
