"""The condition operators: for each, how a policy's value is read and what it matches.

Knows no key and no quantifier (`troth.policy.condition`). AWS IAM user guide, "Condition operators".
"""

import base64
import binascii
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeVar

from troth.policy.pattern import Lookup, Pattern, Token, Variable, build_pattern, scan

Operand = Callable[[str, Lookup], bool]
"""Says whether a value of the request matches; what a variable without value takes part in matches nothing."""
Reader = Callable[[str, bool], Operand]
"""From a policy's value, and whether variables are recognised, to what it matches; `ValueError` if unreadable."""

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER_CHARACTERS: Final = frozenset("0123456789+-.eE")
_BOOLEANS: Final = frozenset({"true", "false"})
_ARN_PARTS: Final = 6


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator; `negated` ones hold where no value matches."""

    read: Reader
    negated: bool = False
    variables: bool = False


def _string_equals(text: str, variables: bool) -> Operand:
    pattern = build_pattern(scan(text, variables=variables, wildcards=False))
    return lambda value, lookup: pattern.resolve_beginning(lookup) == value


def _string_equals_ignore_case(text: str, variables: bool) -> Operand:
    pattern = build_pattern(scan(text, variables=variables, wildcards=False))
    if not pattern.variables:
        folded = pattern.beginning_end.casefold()
        return lambda value, _: value.casefold() == folded

    def matches(value: str, lookup: Lookup) -> bool:
        wanted = pattern.resolve_beginning(lookup)
        return wanted is not None and wanted.casefold() == value.casefold()

    return matches


def _string_like(text: str, variables: bool) -> Operand:
    pattern = build_pattern(scan(text, variables=variables))

    def matches(value: str, lookup: Lookup) -> bool:
        glob = pattern.resolve(lookup)
        return glob is not None and glob.matches(value)

    return matches


def _arn_like(text: str, variables: bool) -> Operand:
    patterns = _split_arn(scan(text, variables=variables))

    def matches(value: str, lookup: Lookup) -> bool:
        parts = value.split(":", _ARN_PARTS - 1)
        if not len(parts) == len(patterns) == _ARN_PARTS:
            return False
        globs = [pattern.resolve(lookup) for pattern in patterns]
        return all(glob is not None and glob.matches(part) for glob, part in zip(globs, parts, strict=True))

    return matches


def _split_arn(tokens: tuple[Token, ...]) -> tuple[Pattern, ...]:
    """Return the patterns of the parts; only colons that the policy itself writes part them."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        first, *others = token.split(":", _ARN_PARTS - len(parts))
        parts[-1].append(first)
        parts.extend([other] for other in others)
    return tuple(build_pattern(part) for part in parts)


def _bool(text: str, variables: bool) -> Operand:
    tokens = scan(text, variables=variables, wildcards=False)
    if text.lower() not in _BOOLEANS and not any(isinstance(token, Variable) for token in tokens):
        raise ValueError("is neither true nor false")
    equals = _string_equals_ignore_case(text, variables)
    return lambda value, lookup: value.lower() in _BOOLEANS and equals(value, lookup)


def _binary_equals(text: str, _: bool) -> Operand:
    wanted = _bytes(text)
    return lambda value, _: _reads_as(_bytes, value, lambda given: given == wanted)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode(), validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error


def _ip_address(text: str, _: bool) -> Operand:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("is neither an IP address nor a range such as 192.0.2.0/24") from error
    return lambda value, _: _reads_as(_addresses, value, lambda given: any(form in network for form in given))


def _addresses(text: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return an address in the forms that a range may be written for.

    A listener of both families shows an IPv4 peer as a mapped address (RFC 4291, 2.5.5.2), which must not lead around
    an IPv4 range.
    """
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (address, mapped) if mapped else (address,)


def _number(text: str) -> Decimal:
    try:
        if text and _NUMBER_CHARACTERS.issuperset(text):
            return Decimal(text)
    except InvalidOperation:
        pass
    raise ValueError("is not a decimal number")


def _date(text: str) -> Decimal:
    """Return seconds since 1970; times without a zone are UTC. Four digits are a year, any other number is seconds."""
    try:
        if text.isascii() and text.isdigit() and len(text) == len("2026"):
            text = f"{text}-01-01"
        elif _NUMBER_CHARACTERS.issuperset(text) and "-" not in text[1:]:
            return _number(text)
        elif text.count("-") == 1 and len(text) == len("2026-01"):
            text = f"{text}-01"
        moment = datetime.fromisoformat(text)
        since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError("is neither a date such as 2026-01-31T12:00:00Z nor seconds since 1970") from error
    return since.days * 86_400 + since.seconds + Decimal(since.microseconds) / 1_000_000


def _ordered(read: Callable[[str], Decimal], holds: Callable[[Decimal, Decimal], bool]) -> Reader:
    def reader(text: str, _: bool) -> Operand:
        bound = read(text)
        return lambda value, _: _reads_as(read, value, lambda given: holds(given, bound))

    return reader


def _reads_as(read: Callable[[str], T], value: str, holds: Callable[[T], bool]) -> bool:
    try:
        return holds(read(value))
    except ValueError:
        return False  # the request's value is not of the operator's type: it matches nothing


def _orderings(prefix: str, read: Callable[[str], Decimal]) -> dict[str, Operator]:
    return {
        f"{prefix}Equals": Operator(_ordered(read, operator.eq)),
        f"{prefix}NotEquals": Operator(_ordered(read, operator.eq), negated=True),
        f"{prefix}LessThan": Operator(_ordered(read, operator.lt)),
        f"{prefix}LessThanEquals": Operator(_ordered(read, operator.le)),
        f"{prefix}GreaterThan": Operator(_ordered(read, operator.gt)),
        f"{prefix}GreaterThanEquals": Operator(_ordered(read, operator.ge)),
    }


OPERATORS: Final[Mapping[str, Operator]] = {
    "StringEquals": Operator(_string_equals, variables=True),
    "StringNotEquals": Operator(_string_equals, negated=True, variables=True),
    "StringEqualsIgnoreCase": Operator(_string_equals_ignore_case, variables=True),
    "StringNotEqualsIgnoreCase": Operator(_string_equals_ignore_case, negated=True, variables=True),
    "StringLike": Operator(_string_like, variables=True),
    "StringNotLike": Operator(_string_like, negated=True, variables=True),
    **_orderings("Numeric", _number),
    **_orderings("Date", _date),
    "Bool": Operator(_bool, variables=True),
    "BinaryEquals": Operator(_binary_equals),
    "IpAddress": Operator(_ip_address),
    "NotIpAddress": Operator(_ip_address, negated=True),
    "ArnEquals": Operator(_arn_like, variables=True),
    "ArnLike": Operator(_arn_like, variables=True),
    "ArnNotEquals": Operator(_arn_like, negated=True, variables=True),
    "ArnNotLike": Operator(_arn_like, negated=True, variables=True),
}
"""All but ``Null``, which asks for presence and compares nothing."""
