"""Any bytes as the topic of a message: one grant decides them all, in bounded time, and remembers boundedly many."""

from typing import Final

from tests.unit.policy.samples import CONTEXT, deny, policy, statement

from troth.limits import DECISIONS_CACHED_MAX
from troth.policy.engine import make_grant
from troth.policy.reference import evaluate

_SLOW_CHARS: Final = 300
_POLICIES: Final = (
    policy(
        statement(resource=["topic/a", "topic/a*", "topic/*/b", "topic/?/${iot:ClientId}/*", "topic/*a*a*a*b"]),
        statement(resource="topic/${iot:Connection.Thing.ThingName}/*"),
        statement("iot:*", "topic/\u00e9*"),
        deny(resource="topic/a/secret/*"),
        deny(resource="topic/*?secret"),
        name="topics",
    ),
    policy({"Effect": "Deny", "Action": "iot:Publish", "NotResource": "arn:aws:iot:*:*:topic/*"}, name="others"),
)
_GRANT: Final = make_grant(_POLICIES, CONTEXT)

SEEDS: Final = (b"a", b"a/secret/x", b"x/lamp-9/y", b"lamp-9/", b"\xc3\xa9", b"", b"a" * 65_535, b"$share/g/#", b"a\0b")
WORDS: Final = (
    b"a",
    b"b",
    b"/",
    b"*",
    b"?",
    b"secret",
    b"lamp-9",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"\n",
    b":",
    b"#",
    b"+",
)


def check(data: bytes) -> None:
    """Ask for the right to publish, in both ways."""
    topic = data.decode("utf-8", "replace")
    decision = _GRANT.decide("iot:Publish", topic)
    assert _GRANT.may_publish(topic) is decision.allowed
    assert _GRANT.may_publish(topic) is decision.allowed
    assert decision.reason.isprintable()
    assert len(_GRANT._publish) <= DECISIONS_CACHED_MAX
    if len(topic) <= _SLOW_CHARS:
        assert decision == evaluate(_POLICIES, "iot:Publish", topic, CONTEXT)
