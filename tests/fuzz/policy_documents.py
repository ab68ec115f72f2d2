"""Any bytes as a policy document: a fault that names a remedy, or a document by which both engines decide alike."""

import json
import random
from pathlib import Path
from typing import Final

from tests.unit.policy.samples import CONTEXT

from troth.errors import Fault
from troth.limits import POLICY_DOCUMENT_CHARS_MAX, Limits
from troth.policy.attachment import NamedPolicy
from troth.policy.document import parse_document
from troth.policy.engine import make_grant
from troth.policy.reference import evaluate
from troth.policy.statement import Document

_VECTORS: Final = Path(__file__).parents[1] / "unit" / "policy" / "vectors" / "policy-vectors.json"
_SLOW_CHARS: Final = 3000
"""Documents above this are not put to the reference, which may take its time."""

SEEDS: Final = tuple(
    dict.fromkeys(
        json.dumps(policy).encode() for case in json.loads(_VECTORS.read_text())[::8] for policy in case["policies"]
    )
)
WORDS: Final = (
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b'"',
    b"\\ud800",
    b"\\u0000",
    b"1e999999999",
    b"-0",
    b"NaN",
    b"\xff",
)
NAMES: Final = (
    "Version",
    "Statement",
    "Effect",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
    "ForAllValues:StringLikeIfExists",
    "ForAnyValue:StringNotEquals",
    "DateLessThan",
    "IpAddress",
    "Null",
    "iot:ClientId",
    "aws:CurrentTime",
    "troth:CertificateDaysLeft",
    "iot:Certificate.Subject.OrganizationalUnit.List",
)
TEXTS: Final = (
    *NAMES,
    "Deny",
    "iot:*",
    "2008-10-17",
    "true",
    "0",
    "*",
    "arn:aws:iot:*",
    "arn:aws:iot:local:000000000000:topic/${iot:ClientId}/*",
    "${iot:Certificate.Subject.CommonName}",
    "${*}",
    "${",
    "?*?*",
    "\U0001f600",
    "",
)
_LIMITS: Final = Limits(policy_chars_max=POLICY_DOCUMENT_CHARS_MAX)
"""As documents are read that were stored under other limits: the most that there can be."""
_NODES_MAX: Final = 2000
_REQUESTS: Final = (("iot:Publish", "lamp-9/a"), ("iot:Subscribe", "a/+/#"), ("iot:Connect", "lamp-9"))


def vary(data: bytes, chance: random.Random) -> bytes:
    """Return the document with one change that leaves it JSON, so that more than the reading of JSON is reached."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return data
    nodes = [whole]
    for node in nodes:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        nodes.extend(each for each in inner if isinstance(each, dict | list))
        if len(nodes) > _NODES_MAX:
            break
    node = chance.choice(nodes)
    if isinstance(node, list):
        _vary_list(node, chance)
    elif isinstance(node, dict):
        _vary_object(node, chance)
    return json.dumps(whole).encode()


def _vary_list(node: list[object], chance: random.Random) -> None:
    if not node or chance.random() < 0.2:
        node.append(chance.choice(TEXTS))
    elif chance.random() < 0.3:
        node.extend(node[:1] * chance.choice((1, 10, 300)))
    else:
        place = chance.randrange(len(node))
        node[place] = _instead_of(node[place], chance)


def _vary_object(node: dict[str, object], chance: random.Random) -> None:
    name = chance.choice([*node, chance.choice(NAMES)])
    if chance.random() < 0.2:
        node[chance.choice(NAMES)] = node.pop(name, "*")
    elif chance.random() < 0.2:
        node[name] = [node.get(name, "*")]
    else:
        node[name] = _instead_of(node.get(name), chance)


def _instead_of(value: object, chance: random.Random) -> object:
    """Return another value: mostly a text that is like the one before, so that most documents stay documents."""
    if chance.random() < 0.1:
        return chance.choice((True, 7, None, [], {}, {chance.choice(NAMES): chance.choice(TEXTS)}))
    if not isinstance(value, str):
        return value
    place = chance.randint(0, len(value))
    return chance.choice((value[:place] + chance.choice(TEXTS) + value[place:], chance.choice(TEXTS)))


def check(data: bytes) -> None:
    """Read, and ask."""
    text = data.decode("utf-8", "surrogateescape")
    document = read(text)
    if document is None:
        return
    policies = [NamedPolicy("fuzzed", document)]
    grant = make_grant(policies, CONTEXT)
    for action, name in _REQUESTS:
        decision = grant.decide(action, name)
        assert decision.reason.isprintable()
        assert len(text) > _SLOW_CHARS or decision == evaluate(policies, action, name, CONTEXT)


def read(text: str) -> Document | None:
    """Return the document; None where there is a fault, as a fault should be."""
    try:
        return parse_document(text, _LIMITS)
    except Fault as caught:
        fault = caught
    assert fault.hint
    assert fault.message.isprintable()
    assert len(fault.message) < 1000
    return None
