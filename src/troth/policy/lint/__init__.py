"""What is legal in a policy document, and dangerous or useless: the rules, one per file.

A finding is advice and forbids nothing. Rules look at one document alone, without any request.
"""

from collections.abc import Iterator
from typing import Final

from troth.names import Realm
from troth.policy.lint.allow_by_exception import ALLOW_BY_EXCEPTION
from troth.policy.lint.client_id_injection import CLIENT_ID_INJECTION
from troth.policy.lint.client_id_not_bound import CLIENT_ID_NOT_BOUND
from troth.policy.lint.condition_never_holds import CONDITION_NEVER_HOLDS
from troth.policy.lint.deny_needs_thing import DENY_NEEDS_THING
from troth.policy.lint.deny_walked_around import DENY_WALKED_AROUND
from troth.policy.lint.for_all_values_absent import FOR_ALL_VALUES_ABSENT
from troth.policy.lint.literal_wildcard import LITERAL_WILDCARD
from troth.policy.lint.mqtt_wildcard_in_deny import MQTT_WILDCARD_IN_DENY
from troth.policy.lint.mqtt_wildcard_in_topic import MQTT_WILDCARD_IN_TOPIC
from troth.policy.lint.other_realm import OTHER_REALM
from troth.policy.lint.overly_permissive import OVERLY_PERMISSIVE
from troth.policy.lint.retain_without_publish import RETAIN_WITHOUT_PUBLISH
from troth.policy.lint.rule import Case, Finding, Found, Level, Rule, TooMuchToCompareError
from troth.policy.lint.shadowed import SHADOWED
from troth.policy.lint.subscribe_without_receive import SUBSCRIBE_WITHOUT_RECEIVE
from troth.policy.lint.unknown_action import UNKNOWN_ACTION
from troth.policy.lint.unknown_condition_key import UNKNOWN_CONDITION_KEY
from troth.policy.lint.variable_not_recognised import VARIABLE_NOT_RECOGNISED
from troth.policy.lint.variable_without_value import VARIABLE_WITHOUT_VALUE
from troth.policy.lint.wrong_resource_type import WRONG_RESOURCE_TYPE
from troth.policy.statement import Document

__all__ = ["RULES", "Finding", "Level", "Rule", "lint"]

RULES: Final[tuple[Rule, ...]] = (
    OVERLY_PERMISSIVE,
    CLIENT_ID_NOT_BOUND,
    CLIENT_ID_INJECTION,
    ALLOW_BY_EXCEPTION,
    DENY_WALKED_AROUND,
    DENY_NEEDS_THING,
    MQTT_WILDCARD_IN_DENY,
    FOR_ALL_VALUES_ABSENT,
    UNKNOWN_CONDITION_KEY,
    CONDITION_NEVER_HOLDS,
    LITERAL_WILDCARD,
    VARIABLE_WITHOUT_VALUE,
    VARIABLE_NOT_RECOGNISED,
    MQTT_WILDCARD_IN_TOPIC,
    WRONG_RESOURCE_TYPE,
    OTHER_REALM,
    UNKNOWN_ACTION,
    SUBSCRIBE_WITHOUT_RECEIVE,
    RETAIN_WITHOUT_PUBLISH,
    SHADOWED,
)


def lint(document: Document, realm: Realm | None = None) -> tuple[Finding, ...]:
    """Return what is dangerous or useless in a document, the dangerous first, each in the order of its rule.

    `realm` is that of the home it is for; without it, no resource counts as foreign.
    """
    findings = [
        Finding(rule.code, rule.level, found.place, found.reason, found.remedy, rule.aws)
        for rule in RULES
        for found in _found(rule, Case(document, realm))
    ]
    return tuple(sorted(findings, key=lambda finding: finding.level is not Level.DANGEROUS))


def _found(rule: Rule, case: Case) -> Iterator[Found]:
    try:
        yield from rule.check(case)
    except TooMuchToCompareError:
        yield Found("Statement", "not everything was compared: there is too much of it", "split the document")
