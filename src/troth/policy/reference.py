"""What policies mean, in as few words as there are: the specification that `troth.policy.engine` is held to. Slow.

Reads a document's own words and a request's keys, and shares no matching, substitution or operator with the engine.
Pages are of the AWS IAM user guide, unless AWS IoT's developer guide is named.
"""

from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Final

from troth.limits import MATCHED_TEXT_CHARS_MAX, SUBSTITUTED_CHARS_MAX
from troth.policy.actions import Action, parse_action, request_arn, request_resource
from troth.policy.attachment import NamedPolicy
from troth.policy.context import ConnectionContext, RequestKeys, connection_keys, request_keys
from troth.policy.decision import Deciding, Decision, Outcome
from troth.policy.pattern import fold
from troth.policy.statement import Effect, Statement
from troth.policy.written import WrittenCondition

Atom = tuple[str, bool]
"""A character, and whether the document itself writes it: no other can be a wildcard or part an ARN."""

_WANTED: Final = {"Equals": "=", "LessThan": "<", "LessThanEquals": "<=", "GreaterThan": ">", "GreaterThanEquals": ">="}


def evaluate(policies: Iterable[NamedPolicy], action: str, resource: str, context: ConnectionContext) -> Decision:
    """Decide one request. `resource` is the bare name: a topic, a filter, a client id.

    Raises `Fault` (unsupported) on an action that is not one of `Action`. A name of more than `MATCHED_TEXT_CHARS_MAX`
    characters is denied.
    """
    asked = parse_action(action)
    keys = request_keys(connection_keys(context), context, asked)
    arn = request_arn(context.realm, asked, resource)
    # "Policy evaluation logic": one deny beats every allow, wherever it stands; what nothing allows is denied.
    for effect, outcome in ((Effect.DENY, Outcome.EXPLICIT_DENY), (Effect.ALLOW, Outcome.ALLOW)):
        for policy in policies if len(resource) <= MATCHED_TEXT_CHARS_MAX else ():
            # "Version": in documents of the older one, variables are text.
            variables = keys if policy.document.has_variables else None
            for each in policy.document.statements:
                if each.effect is effect and _applies(each, asked, arn, keys, variables):
                    deciding = Deciding(policy.name, each.number, each.sid)
                    return Decision(outcome, asked, request_resource(asked, resource), deciding)
    return Decision(Outcome.IMPLICIT_DENY, asked, request_resource(asked, resource), None)


def _applies(statement: Statement, action: Action, arn: str, keys: RequestKeys, variables: RequestKeys | None) -> bool:
    words = statement.written
    # "Action": case does not count. "NotAction", "NotResource": all but those.
    named = any(_like(_expand(word.text.lower(), None), action.lower()) for word in words.actions)
    covered = any(_like(_expand(word.text, variables, behind_colons=5), arn) for word in words.resources)
    return (
        named == (words.action_element == "Action")
        and covered == (words.resource_element == "Resource")
        and all(_holds(condition, keys, variables) for condition in words.conditions)
    )


def _expand(text: str, variables: RequestKeys | None, behind_colons: int = 0) -> list[Atom] | None:
    """Substitute variables. None if one has no value: such a pattern matches nothing ("Variables and tags")."""
    atoms: list[Atom] = []
    while text:
        # Of an ARN, its last part only has variables.
        if variables is None or not text.startswith("${") or atoms.count((":", True)) < behind_colons:
            atoms.append((text[0], True))
            text = text[1:]
            continue
        name, _, rest = text[2:].partition("}")
        value = name if name in {"*", "?", "$"} else variables.variable(fold(name))
        if value is None:
            return None
        # AWS IoT, "X.509 certificate policy variables": what is too long or could pass for a wildcard stays a variable.
        unsafe = len(value) > SUBSTITUTED_CHARS_MAX or not set("*$+?#").isdisjoint(value)
        if unsafe and fold(name).startswith("iot:certificate"):
            value = text.removesuffix(rest)
        atoms += [(character, False) for character in value]
        text = rest
    return atoms


def _like(pattern: list[Atom] | None, text: str) -> bool:
    """``*`` is any run of characters, also none; ``?`` is one; both may be ``/`` ("Wildcards in resource ARNs")."""
    reached = set() if pattern is None else {0}  # the lengths of all beginnings of `text` that are matched so far
    for atom in pattern or ():
        if atom == ("*", True):
            reached = set(range(min(reached, default=len(text) + 1), len(text) + 1))
        else:
            reached = {end + 1 for end in reached if end < len(text) and (atom == ("?", True) or atom[0] == text[end])}
    return len(text) in reached


def _holds(condition: WrittenCondition, keys: RequestKeys, variables: RequestKeys | None) -> bool:
    """The page is "Condition operators"; for several values in a request, "Multivalued context keys"."""
    given = keys.values(fold(condition.key))
    if condition.operator == "Null":
        return any((value.lower() == "true") == (not given) for value in condition.values)
    quantifier, _, name = condition.operator.rpartition(":")
    base = name.removesuffix("IfExists")
    operator = base.replace("Not", "")
    negated = operator != base
    needs_all = quantifier == "ForAllValues" or (negated and not quantifier)
    if not given:
        return needs_all or name != base
    # One of the policy's values has to match, or, negated, none of them.
    matched = (any(_matches(operator, each, value, variables) for each in condition.values) for value in given)
    return (all if needs_all else any)(each != negated for each in matched)


def _matches(operator: str, wanted: str, value: str, variables: RequestKeys | None) -> bool:
    """Say whether the request's value is what the policy's value wants; one that cannot be read matches nothing."""
    try:
        for kind, read in (("Numeric", _number), ("Date", _seconds)):
            if operator.startswith(kind):
                left, right = read(value), read(wanted)
                return ("<" if left < right else ">" if left > right else "=") in _WANTED[operator.removeprefix(kind)]
        if operator == "IpAddress":
            address, network = ip_address(value), ip_network(wanted, strict=False)
            # An IPv4 peer may be shown as a mapped address (RFC 4291, 2.5.5.2).
            return address in network or (getattr(address, "ipv4_mapped", None) or address) in network
        if operator == "BinaryEquals":
            return b64decode(value, validate=True) == b64decode(wanted, validate=True)
    except (ValueError, ArithmeticError):
        return False
    pattern = _expand(wanted, variables)
    if pattern is None or operator == "StringLike":
        return _like(pattern, value)
    if operator.startswith("Arn"):  # compared part by part
        colons = [place for place, atom in enumerate(pattern) if atom == (":", True)][:5]
        patterns = [pattern[before + 1 : behind] for before, behind in pairwise((-1, *colons, len(pattern)))]
        parts = value.split(":", 5)
        return len(patterns) == len(parts) == 6 and all(map(_like, patterns, parts))
    text = "".join(character for character, _ in pattern)
    if operator == "Bool" and value.lower() not in {"true", "false"}:
        return False
    return text == value if operator == "StringEquals" else text.casefold() == value.casefold()


def _number(text: str) -> Decimal:
    if not text or set(text) - set("0123456789+-.eE"):
        raise ValueError
    return Decimal(text)


def _seconds(text: str) -> Decimal:
    """Return seconds since 1970, from such a number or a date of ISO 8601, which is of UTC where it names no zone."""
    year, month = len(text) == 4 and text.isdigit(), len(text) == 7 and text[4] == "-"
    if not year and not set(text) - set("0123456789+-.eE") and "-" not in text[1:]:
        return _number(text)
    moment = datetime.fromisoformat(text + ("-01-01" if year else "-01" if month else ""))
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return Decimal(since // timedelta(microseconds=1)) / 1_000_000
