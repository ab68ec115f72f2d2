"""The decision as it is made for every message: a `Grant` is a connection's policies, made ready to be asked.

Decides what `troth.policy.reference` decides. Knows nothing of connections beyond `ConnectionContext`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from troth.limits import DECISION_CACHED_CHARS_MAX, DECISIONS_CACHED_MAX, MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action, parse_action, request_resource
from troth.policy.attachment import NamedPolicy
from troth.policy.compiled import Compiled, Rules, first
from troth.policy.context import ConnectionContext, connection_keys, keys_at, request_keys
from troth.policy.decision import Deciding, Decision, Outcome
from troth.policy.index import NOWHERE

_MESSAGES: Final = frozenset({Action.PUBLISH, Action.RETAIN_PUBLISH, Action.SUBSCRIBE, Action.RECEIVE})
"""Whoever asks for one of these will ask for another: they are made ready together."""
_SIGNABLE: Final = frozenset({Action.PUBLISH, Action.RETAIN_PUBLISH})


def make_grant(
    policies: Iterable[NamedPolicy], context: ConnectionContext, now: Callable[[], datetime] | None = None
) -> "Grant":
    """Make policies ready for one connection; `Grant` itself takes policies that many share."""
    return Grant(Compiled(policies), context, now)


class Grant:
    """What one connection may do: equal to `evaluate` for every request, and much faster for a topic seen before.

    With `now`, statements that read what may change are decided anew for every request; without it, time stands still
    at ``context.current_time``.

    Memory: what of its policies depends on the principal; and four times `DECISIONS_CACHED_MAX` topics (five where
    signatures count) of `DECISION_CACHED_CHARS_MAX` characters at most, whatever the client invents: 0.5 MiB of ASCII,
    1.4 MiB at worst.
    """

    __slots__ = (
        "_compiled",
        "_context",
        "_keys",
        "_now",
        "_publish",
        "_receive",
        "_retain",
        "_rules",
        "_signed",
        "_subscribe",
    )

    def __init__(
        self, compiled: Compiled, context: ConnectionContext, now: Callable[[], datetime] | None = None
    ) -> None:
        self._compiled = compiled
        self._context = context
        self._keys = connection_keys(context)
        self._now = now
        self._rules: dict[Action, Rules] = {}
        self._publish: dict[str, bool] = {}
        self._retain: dict[str, bool] = {}
        self._subscribe: dict[str, bool] = {}
        self._receive: dict[str, bool] = {}
        # Of most connections for ever: nothing asks for signatures.
        self._signed: dict[tuple[Action, str], bool | None] | None = None

    def fresh(self) -> "Grant":
        """Return a grant that decides the same, for another connection: what is made ready is shared, and no topic."""
        other = Grant.__new__(Grant)
        other._compiled, other._context, other._keys = self._compiled, self._context, self._keys
        other._now, other._rules = self._now, self._rules
        other._publish, other._retain, other._subscribe, other._receive = {}, {}, {}, {}
        other._signed = None
        return other

    def may_publish(self, topic: str) -> bool:
        """Say whether `iot:Publish` is allowed on a topic, whatever the message.

        Where that depends on its signature (`may_if_signed`), this says no.
        """
        known = self._publish.get(topic)
        return self._find_out(Action.PUBLISH, topic, self._publish) if known is None else known

    def may_retain(self, topic: str) -> bool:
        """Say whether `iot:RetainPublish` is allowed on a topic, as `may_publish` says it of a message that is not.

        A retained message needs both.
        """
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

    @property
    def asks_for_signatures(self) -> bool:
        """Whether there is any message for which it may depend on its signature that it is allowed."""
        rules = [self._rules.get(action) or self._make_rules(action) for action in _SIGNABLE]
        return any(each.reads_signature for one in rules for each in one.live)

    def may_if_signed(self, action: Action, topic: str) -> bool | None:
        """Say whether `action` is allowed on a topic to a message that is signed; None where that does not matter."""
        key = (action, topic)
        if self._signed is not None and key in self._signed:
            return self._signed[key]
        rules = self._rules.get(action) or self._make_rules(action)
        arn = rules.arn + topic
        live = [each for each in rules.live if each.may_apply(arn)]
        allowed: bool | None = None
        if any(each.reads_signature for each in live):
            allowed = self._search(rules, arn, True)[0] is Outcome.ALLOW
        if len(topic) <= DECISION_CACHED_CHARS_MAX and not any(each.reads_time for each in live):
            if self._signed is None or len(self._signed) >= DECISIONS_CACHED_MAX:
                self._signed = {}
            self._signed[key] = allowed
        return allowed

    def decide(self, action: str, resource: str, *, message_signed: bool = False) -> Decision:
        """Decide one request and say why; not remembered. Raises as `evaluate` does.

        `message_signed` counts where time does not stand still; elsewhere, what the context says of it.
        """
        asked = parse_action(action)
        outcome, place = Outcome.IMPLICIT_DENY, NOWHERE
        if len(resource) <= MATCHED_TEXT_CHARS_MAX:
            # This one action is about everything: no name stands in its ARN.
            name = "" if asked is Action.LIST_RETAINED_MESSAGES else resource
            rules = self._rules.get(asked) or self._make_rules(asked)
            outcome, place = self._search(rules, rules.arn + name, message_signed)
        deciding = None
        if place < NOWHERE:
            policy, statement = self._compiled.statements[place]
            deciding = Deciding(policy, statement.number, statement.sid)
        return Decision(outcome, asked, request_resource(asked, resource), deciding)

    def _search(self, rules: Rules, arn: str, signed: bool) -> tuple[Outcome, int]:
        """Return the outcome, and the place of the first statement that brings it about."""
        denying, allowing = first(rules.denies, arn), first(rules.allows, arn)
        live = [each for each in rules.live if each.may_apply(arn)]
        if live and self._now is not None:
            keys = keys_at(self._now(), rules.keys, self._context, message_signed=signed)
            applying = [each for each in live if each.applies(arn, keys)]
            denying = min(denying, *(each.place for each in applying if each.denies), NOWHERE)
            allowing = min(allowing, *(each.place for each in applying if not each.denies), NOWHERE)
        if denying < NOWHERE:
            return Outcome.EXPLICIT_DENY, denying
        return (Outcome.ALLOW if allowing < NOWHERE else Outcome.IMPLICIT_DENY), allowing

    def _find_out(self, action: Action, name: str, known: dict[str, bool]) -> bool:
        if len(name) > MATCHED_TEXT_CHARS_MAX:
            return False
        rules = self._rules.get(action) or self._make_rules(action)
        arn = rules.arn + name
        live = [each for each in rules.live if each.may_apply(arn)] if rules.live else None
        if live:
            if action in _SIGNABLE and any(each.reads_signature for each in live):
                return False
            return self._search(rules, arn, False)[0] is Outcome.ALLOW
        allowed = False
        # Written out: this is asked for each message about a topic that is new, and calls are most of what it costs.
        for index in rules.denies:
            if index.first(arn) < NOWHERE:
                break
        else:
            for index in rules.allows:
                if index.first(arn) < NOWHERE:
                    allowed = True
                    break
        if len(name) <= DECISION_CACHED_CHARS_MAX:
            if len(known) >= DECISIONS_CACHED_MAX:
                known.clear()  # a client that invents topics pays for the decisions that it drives out
            known[name] = allowed
        return allowed

    def _make_rules(self, action: Action) -> Rules:
        actions = _MESSAGES if action in _MESSAGES else frozenset({action})
        keys = request_keys(self._keys, self._context, action)
        self._rules.update(self._compiled.rules(actions, self._context.realm, keys, live=self._now is not None))
        return self._rules[action]
