"""Any bytes as a pattern and a text: matching ends soon whatever they are, and small ones match by definition.

An input is the pattern, a zero byte, and the text.
"""

import json
from typing import Final

from tests.unit.policy.samples import CONTEXT, arn

from troth.errors import Fault
from troth.limits import MATCHED_TEXT_CHARS_MAX
from troth.policy.attachment import NamedPolicy
from troth.policy.document import parse_document
from troth.policy.engine import make_grant
from troth.policy.pattern import parse_glob
from troth.policy.reference import evaluate

_SLOW: Final = 20_000
"""Pairs of characters above which the reference is not asked."""

SEEDS: Final = (
    b"a/*/b\0a/x/b",
    b"*a*a*a*a*b\0" + b"a" * 4000,
    b"*" + b"a?" * 200 + b"b*\0" + b"a" * 4000,
    b"?" * 50 + b"*\0" + b"a" * 60,
    b"home/${iot:ClientId}/*\0home/lamp-9/x",
    b"${iot:Connection.Thing.Attributes[room]}/${*}\0a/*",
    b"*\0",
    b"**?**\0ab",
)
WORDS: Final = (
    b"*",
    b"?",
    b"*a",
    b"a?",
    b"a",
    b"b",
    b"/",
    b":",
    b"$",
    b"${",
    b"}",
    b"${iot:ClientId}",
    b"lamp-9",
    b"\0",
)


def check(data: bytes) -> None:
    """Match, as a glob and as the resource of a policy."""
    pattern, _, text = data.decode("utf-8", "replace").partition("\0")
    text = text[:MATCHED_TEXT_CHARS_MAX]
    parse_glob(pattern).matches(text)
    written = {"Effect": "Allow", "Action": "iot:Publish", "Resource": arn(f"topic/{pattern}")}
    try:
        read = parse_document(json.dumps({"Version": "2012-10-17", "Statement": written}))
    except Fault:
        return
    policies = [NamedPolicy("fuzzed", read)]
    allowed = make_grant(policies, CONTEXT).may_publish(text)
    if len(pattern) * len(text) < _SLOW:
        assert allowed is evaluate(policies, "iot:Publish", text, CONTEXT).allowed
