"""Finds out why a request is decided as it is: every statement is looked at, and all that keeps it from applying.

Slow, for people's questions; decides what `troth.policy.reference` and `troth.policy.engine` decide. Knows no words
(`troth.policy.wording`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from troth.limits import MATCHED_TEXT_CHARS_MAX
from troth.policy.actions import Action, parse_action, request_arn, request_resource
from troth.policy.attachment import NamedPolicy
from troth.policy.catalogue import why_absent, why_not_variable
from troth.policy.context import ConnectionContext, RequestKeys, connection_keys, request_keys
from troth.policy.decision import Deciding, Decision, Outcome
from troth.policy.explanation import (
    ActionFailed,
    ConditionFailed,
    Explanation,
    Failure,
    Missing,
    ResourceFailed,
    Substituted,
    Verdict,
)
from troth.policy.near import near_misses
from troth.policy.operators import OPERATORS
from troth.policy.pattern import Token, Variable, Wildcard, build_pattern, scan
from troth.policy.statement import Document, Effect, Statement
from troth.policy.written import WrittenCondition


def explain(policies: Iterable[NamedPolicy], action: str, resource: str, context: ConnectionContext) -> Explanation:
    """Explain one request. `resource` is the bare name: a topic, a filter, a client id.

    Raises `Fault` (unsupported) on an action that is not one of `Action`.
    """
    asked = parse_action(action)
    attached = tuple(policies)
    too_long = len(resource) > MATCHED_TEXT_CHARS_MAX
    keys = request_keys(connection_keys(context), context, asked)
    question = _Question(asked, request_arn(context.realm, asked, resource), context, keys)
    verdicts = tuple(
        Verdict(
            policy=policy.name,
            target_kind=policy.target_kind,
            target=policy.target,
            number=statement.number,
            sid=statement.sid,
            effect=statement.effect,
            failures=tuple(question.failures(statement, policy.document)),
        )
        for policy in (() if too_long else attached)
        for statement in policy.document.statements
    )
    return Explanation(
        decision=_decide(verdicts, asked, resource),
        arn=question.arn,
        policies=tuple(dict.fromkeys(policy.name for policy in attached)),
        verdicts=verdicts,
        too_long=too_long,
    )


def _decide(verdicts: tuple[Verdict, ...], action: Action, resource: str) -> Decision:
    about = request_resource(action, resource)
    for effect, outcome in ((Effect.DENY, Outcome.EXPLICIT_DENY), (Effect.ALLOW, Outcome.ALLOW)):
        for verdict in verdicts:
            if verdict.applies and verdict.effect is effect:
                return Decision(outcome, action, about, Deciding(verdict.policy, verdict.number, verdict.sid))
    return Decision(Outcome.IMPLICIT_DENY, action, about, None)


@dataclass(frozen=True, slots=True)
class _Question:
    """One request, put to one statement after another."""

    action: Action
    arn: str
    context: ConnectionContext
    keys: RequestKeys

    def failures(self, statement: Statement, document: Document) -> Iterator[Failure]:
        """Yield all that keeps the statement from applying, the first thing first."""
        written = statement.written
        if self.action not in statement.actions:
            yield ActionFailed(self.action, written.action_element, tuple(word.text for word in written.actions))
            return
        if not statement.covers(statement.resolve(self.keys), self.arn):
            yield self._resource_failure(statement)
        for condition, words in zip(statement.conditions, written.conditions, strict=True):
            if not condition.holds(self.keys):
                yield self._condition_failure(condition.key, words, document.has_variables)

    def _resource_failure(self, statement: Statement) -> ResourceFailed:
        written = statement.written
        patterns: list[Substituted] = []
        hints: list[str] = []
        for word, pattern in zip(written.resources, statement.resources, strict=True):
            glob = pattern.resolve(self.keys.variable)
            if statement.except_resources and (glob is None or not glob.matches(self.arn)):
                continue  # it is not this one that excludes the request
            tokens, missing = self._substitute(pattern.tokens)
            patterns.append(_substituted(word.text, tokens, missing))
            if not (statement.except_resources or missing):
                hints.extend(near_misses(tokens, self.arn))
        return ResourceFailed(written.resource_element, tuple(patterns), tuple(dict.fromkeys(hints)))

    def _condition_failure(self, key: str, written: WrittenCondition, variables: bool) -> ConditionFailed:
        base = written.base
        variables = variables and base in OPERATORS and OPERATORS[base].variables
        wildcards = base.endswith("Like") or base.startswith("Arn")
        wanted = [
            _substituted(value, *self._substitute(scan(value, variables=variables, wildcards=wildcards)), wildcards)
            for value in written.values
        ]
        found = self.keys.values(key)
        absent = None if found else why_absent(key, self.context, self.action)
        return ConditionFailed(written.operator, written.key, tuple(wanted), found, absent)

    def _substitute(self, tokens: Iterable[Token]) -> tuple[list[str | Wildcard], tuple[Missing, ...]]:
        """Return the tokens with values for variables, and the variables that have none."""
        known: list[str | Wildcard] = []
        missing: list[Missing] = []
        for token in tokens:
            if not isinstance(token, Variable):
                known.append(token)
                continue
            value = build_pattern((token,)).resolve(self.keys.variable)
            if value is not None and value.literal is not None:
                known.append(value.literal)
            else:
                missing.append(Missing(token.text, why_not_variable(token.name, self.context, self.action)))
        return known, tuple(dict.fromkeys(missing))


def _substituted(
    written: str, tokens: Iterable[str | Wildcard], missing: tuple[Missing, ...], wildcards: bool = True
) -> Substituted:
    here = "".join(token.value if isinstance(token, Wildcard) else _literal(token, wildcards) for token in tokens)
    return Substituted(written, None if missing else here, missing)


def _literal(text: str, wildcards: bool) -> str:
    """Return text as a pattern would have to spell it, so that no character in it passes for a wildcard."""
    return text.replace("*", "${*}").replace("?", "${?}") if wildcards else text
