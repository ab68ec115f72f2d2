"""The rules that every engine is told, the topics it is asked about, and the policies that a connection holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from troth.names import Realm
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext, Thing
from troth.policy.document import parse_document
from troth.x509.certificates import CertificateAttributes

REALM: Final = Realm()
DEVICE: Final = "lamp-17"
_PER_DOCUMENT: Final = 20
_THING: Final = "${iot:Connection.Thing.ThingName}"


@dataclass(frozen=True, slots=True)
class Rule:
    """Publishing is allowed or denied: on one topic, or below one."""

    allows: bool
    topic: str
    below: bool
    """The topic and a slash, and all that begins with that."""


def make_rules(count: int) -> list[Rule]:
    """Return so many rules: half of them for one topic, half for all below one; every tenth denies."""
    return [
        Rule(allows=number % 10 != 9, topic=f"home/area-{number}/{DEVICE}", below=number % 2 == 1)
        for number in range(count)
    ]


class Kind(StrEnum):
    """What a topic is to the rules."""

    EXACT = "exact"
    BELOW = "prefix"
    NONE = "no match"


def make_topics(rules: Sequence[Rule], kind: Kind, count: int) -> list[str]:
    """Return so many topics of a kind, none of them twice; fewer where there are no more.

    Each is a string of its own that nobody has looked up yet: not even its hash is known.
    """
    if kind is Kind.NONE:
        return [f"home/elsewhere/{number}" for number in range(count)]
    fitting = [rule.topic for rule in rules if rule.below == (kind is Kind.BELOW)]
    if kind is Kind.EXACT:
        return ["".join((topic[:4], topic[4:])) for topic in fitting[:count]]
    return [f"{fitting[number % len(fitting)]}/{number}" for number in range(count)]


def make_mixture(rules: Sequence[Rule], count: int) -> list[str]:
    """Return so many topics of all kinds in turn, none of them twice."""
    exact = iter(make_topics(rules, Kind.EXACT, count // 3))
    below, none = (iter(make_topics(rules, kind, count)) for kind in (Kind.BELOW, Kind.NONE))
    return [next((exact, none, below)[number % 3], None) or next(below) for number in range(count)]


def policies_of(rules: Sequence[Rule]) -> list[NamedPolicy]:
    """Return the rules as documents of twenty statements."""
    statements = [
        {
            "Effect": "Allow" if rule.allows else "Deny",
            "Action": "iot:Publish",
            "Resource": REALM.arn("topic", f"{rule.topic}/*" if rule.below else rule.topic),
        }
        for rule in rules
    ]
    return [
        _named(at // _PER_DOCUMENT, statements[at : at + _PER_DOCUMENT])
        for at in range(0, len(statements), _PER_DOCUMENT)
    ]


def own_policies(policies: int, statements: int) -> list[NamedPolicy]:
    """Return policies as fleets have them: about the thing that connects, some with conditions, some that deny."""
    return [
        _named(policy, [_statement(policy * statements + number) for number in range(statements)])
        for policy in range(policies)
    ]


def _statement(number: int) -> dict[str, object]:
    kinds = (("iot:Publish", "topic"), ("iot:Receive", "topic"), ("iot:Subscribe", "topicfilter"), ("*", "topic"))
    action, kind = kinds[number % 4]
    name = f"home/area-{number}/{_THING}/state"
    if number % 2:
        name += "/*"
    if number % 20 == 19:
        name = f"home/area-{number}/*/{_THING}"
    made: dict[str, object] = {
        "Effect": "Deny" if number % 7 == 6 else "Allow",
        "Action": ["iot:Publish", "iot:Receive", "iot:RetainPublish"] if action == "*" else action,
        "Resource": REALM.arn(kind, name),
    }
    if number % 3 == 0:
        made["Condition"] = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    if number % 20 == 0:
        made |= {"Action": "iot:Connect", "Resource": REALM.arn("client", _THING)}
    return made


def _named(number: int, statements: Sequence[object]) -> NamedPolicy:
    document = {"Version": "2012-10-17", "Statement": statements}
    return NamedPolicy(f"policy-{number}", parse_document(json.dumps(document)))


def make_context(device: str = DEVICE) -> ConnectionContext:
    """Return the connection of a device under its own name."""
    return ConnectionContext(
        realm=REALM,
        certificate=CertificateAttributes(
            certificate_id="9f" * 32,
            serial_number="1007",
            subject={"CommonName": (device,), "Organization": ("Home",)},
            issuer={"CommonName": ("Home devices CA",)},
            san={"DNSName": (f"{device}.home.example",)},
            issuer_alternative_name={},
        ),
        source_ip="192.0.2.7",
        client_id=device,
        thing=Thing(device, "Lamp", {"room": "kitchen", "level": "2"}),
        tls_version="1.3",
        enrollment_method="token",
    )
