"""The decision: `evaluate` for one request, and `Grant`, the same policies made ready for one connection's many.

Default deny; an explicit deny beats every allow; order does not matter. Knows nothing of connections beyond
`ConnectionContext`. AWS IAM user guide, "Policy evaluation logic".
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from troth.limits import DECISION_CACHED_CHARS_MAX, DECISIONS_CACHED_MAX, MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action, parse_action, request_arn, request_resource
from troth.policy.attachment import NamedPolicy
from troth.policy.context import VOLATILE_KEYS, ConnectionContext, RequestKeys, connection_keys, keys_at, request_keys
from troth.policy.decision import Deciding, Decision, Outcome
from troth.policy.pattern import Glob
from troth.policy.statement import Effect, Statement

__all__ = ["Decision", "Grant", "NamedPolicy", "Outcome", "evaluate", "make_grant"]

_Entry = tuple[str, Statement]
"""A statement and the name of its policy."""


def evaluate(policies: Iterable[NamedPolicy], action: str, resource: str, context: ConnectionContext) -> Decision:
    """Decide one request. `resource` is the bare name: a topic, a filter, a client id.

    Raises `Fault` (unsupported) on an action that is not one of `Action`. A name of more than `MATCHED_TEXT_CHARS_MAX`
    characters is denied.
    """
    asked = parse_action(action)
    if len(resource) > MATCHED_TEXT_CHARS_MAX:
        return _decision(asked, resource, None, None)
    keys = request_keys(connection_keys(context), context, asked)
    arn = request_arn(context.realm, asked, resource)
    denying, allowing = None, None
    for policy, statement in _entries(policies):
        if asked in statement.actions and statement.applies(arn, keys):
            if statement.effect is Effect.DENY:
                denying = denying or (policy, statement)
            else:
                allowing = allowing or (policy, statement)
    return _decision(asked, resource, denying, allowing)


def make_grant(
    policies: Iterable[NamedPolicy], context: ConnectionContext, now: Callable[[], datetime] | None = None
) -> "Grant":
    """Make policies ready for a connection.

    With `now`, statements that read the time are decided anew for every request; without it, time stands still at
    ``context.current_time``.
    """
    return Grant(_entries(policies), context, now)


class Grant:
    """What one connection may do: equal to `evaluate` for every request, and much faster for a topic seen before.

    Memory: besides its policies, four times `DECISIONS_CACHED_MAX` topics of `DECISION_CACHED_CHARS_MAX` characters at
    most, whatever the client invents.
    """

    __slots__ = ("_context", "_entries", "_keys", "_now", "_publish", "_receive", "_retain", "_rules", "_subscribe")

    def __init__(
        self, entries: Sequence[_Entry], context: ConnectionContext, now: Callable[[], datetime] | None
    ) -> None:
        self._entries = entries
        self._context = context
        self._keys = connection_keys(context)
        self._now = now
        self._rules: dict[Action, _Rules] = {}
        self._publish: dict[str, bool] = {}
        self._retain: dict[str, bool] = {}
        self._subscribe: dict[str, bool] = {}
        self._receive: dict[str, bool] = {}

    def may_publish(self, topic: str) -> bool:
        """Say whether `iot:Publish` is allowed on a topic."""
        known = self._publish.get(topic)
        return self._find_out(Action.PUBLISH, topic, self._publish) if known is None else known

    def may_retain(self, topic: str) -> bool:
        """Say whether `iot:RetainPublish` is allowed on a topic; a retained message needs `may_publish` as well."""
        known = self._retain.get(topic)
        return self._find_out(Action.RETAIN_PUBLISH, topic, self._retain) if known is None else known

    def may_subscribe(self, topic_filter: str) -> bool:
        """Say whether `iot:Subscribe` is allowed on a filter, which is compared as text."""
        known = self._subscribe.get(topic_filter)
        return self._find_out(Action.SUBSCRIBE, topic_filter, self._subscribe) if known is None else known

    def may_receive(self, topic: str) -> bool:
        """Say whether `iot:Receive` is allowed on the topic of a message."""
        known = self._receive.get(topic)
        return self._find_out(Action.RECEIVE, topic, self._receive) if known is None else known

    def decide(self, action: str, resource: str) -> Decision:
        """Decide one request and say why; not remembered. Raises as `evaluate` does."""
        asked = parse_action(action)
        if len(resource) > MATCHED_TEXT_CHARS_MAX:
            return _decision(asked, resource, None, None)
        rules = self._rules_of(asked)
        arn = request_arn(self._context.realm, asked, resource)
        return _decision(asked, resource, rules.denies.find(arn), rules.allows.find(arn))

    def _find_out(self, action: Action, name: str, known: dict[str, bool]) -> bool:
        if len(name) > MATCHED_TEXT_CHARS_MAX:
            return False
        rules = self._rules_of(action)
        arn = request_arn(self._context.realm, action, name)
        allowed = rules.denies.find(arn) is None and rules.allows.find(arn) is not None
        if not rules.volatile and len(name) <= DECISION_CACHED_CHARS_MAX:
            if len(known) >= DECISIONS_CACHED_MAX:
                known.clear()  # a client that invents topics pays for the decisions that it drives out
            known[name] = allowed
        return allowed

    def _rules_of(self, action: Action) -> "_Rules":
        rules = self._rules.get(action)
        if rules is None:
            keys = request_keys(self._keys, self._context, action)
            rules = self._rules[action] = _specialise(self._entries, action, keys, self._context, self._now)
        return rules


class _Matcher(Protocol):
    def matches(self, text: str, /) -> bool: ...


class _Others:
    """``NotResource`` with its variables substituted."""

    __slots__ = ("_globs",)

    def __init__(self, globs: tuple[Glob, ...]) -> None:
        self._globs = globs

    def matches(self, arn: str) -> bool:
        return not any(glob.matches(arn) for glob in self._globs)


class _Live:
    """A statement that is decided anew for every request, since it reads what may change."""

    __slots__ = ("_context", "_keys", "_now", "_statement")

    def __init__(
        self, statement: Statement, keys: RequestKeys, context: ConnectionContext, now: Callable[[], datetime]
    ) -> None:
        self._statement = statement
        self._keys = keys
        self._context = context
        self._now = now

    def matches(self, arn: str) -> bool:
        return self._statement.applies(arn, keys_at(self._now(), self._keys, self._context))


class _Side:
    """The statements of one effect that can still apply, found by the ARN of a request."""

    __slots__ = ("_exact", "_matchers")

    def __init__(self) -> None:
        self._exact: dict[str, tuple[int, _Entry]] = {}
        self._matchers: list[tuple[int, _Matcher, _Entry]] = []

    def add(self, order: int, entry: _Entry, globs: tuple[Glob, ...]) -> None:
        """Add a statement whose conditions hold, with its resources."""
        if entry[1].except_resources:
            self.add_matcher(order, entry, _Others(globs))
            return
        for glob in globs:
            if glob.literal is not None:
                self._exact.setdefault(glob.literal, (order, entry))
            else:
                self.add_matcher(order, entry, glob)

    def add_matcher(self, order: int, entry: _Entry, matcher: _Matcher) -> None:
        """Add a statement that applies where `matcher` matches; `order` never falls from one call to the next."""
        self._matchers.append((order, matcher, entry))

    def find(self, arn: str) -> _Entry | None:
        """Return the first statement that applies, in the order of the policies."""
        exact = self._exact.get(arn)
        for order, matcher, entry in self._matchers:
            if exact is not None and exact[0] < order:
                break
            if matcher.matches(arn):
                return entry
        return exact[1] if exact is not None else None


class _Rules:
    """The policies as they are for one action on one connection."""

    __slots__ = ("allows", "denies", "volatile")

    def __init__(self) -> None:
        self.denies = _Side()
        self.allows = _Side()
        self.volatile = False


def _specialise(
    entries: Sequence[_Entry],
    action: Action,
    keys: RequestKeys,
    context: ConnectionContext,
    now: Callable[[], datetime] | None,
) -> _Rules:
    rules = _Rules()
    for order, entry in enumerate(entries):
        _, statement = entry
        if action not in statement.actions:
            continue
        side = rules.denies if statement.effect is Effect.DENY else rules.allows
        if now is not None and not VOLATILE_KEYS.isdisjoint(statement.names):
            rules.volatile = True
            side.add_matcher(order, entry, _Live(statement, keys, context, now))
        elif statement.holds(keys):
            side.add(order, entry, statement.resolve(keys))
    return rules


def _entries(policies: Iterable[NamedPolicy]) -> tuple[_Entry, ...]:
    return tuple((policy.name, statement) for policy in policies for statement in policy.document.statements)


def _decision(action: Action, name: str, denying: _Entry | None, allowing: _Entry | None) -> Decision:
    deciding = denying or allowing
    outcome = Outcome.EXPLICIT_DENY if denying else Outcome.ALLOW if allowing else Outcome.IMPLICIT_DENY
    return Decision(
        outcome=outcome,
        action=action,
        resource=request_resource(action, name),
        deciding=None if deciding is None else Deciding(deciding[0], deciding[1].number, deciding[1].sid),
    )
