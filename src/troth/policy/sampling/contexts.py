"""Connections made up from documents: one that has all they read, some that lack it, some as conditions want."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network
from typing import Final

from troth.names import Realm
from troth.policy.actions import Action
from troth.policy.catalogue import ATTRIBUTES, CERTIFICATE
from troth.policy.condition import Condition
from troth.policy.context import ConnectionContext, Thing, connection_keys, request_keys
from troth.policy.pattern import Pattern, Token, Variable, Wildcard, build_pattern, scan
from troth.policy.sampling.keys import NOBODY, SAMPLE_THING, with_key
from troth.policy.showing import shown
from troth.policy.statement import Statement
from troth.policy.written import WrittenCondition
from troth.x509.certificates import CertificateAttributes

_OUTSIDE_V4: Final = "203.0.113.254"
_OUTSIDE_V6: Final = "2001:db8:ffff::1"
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def base_context(names: Iterable[str], realm: Realm) -> ConnectionContext:
    """Return a connection of a thing that has all of the keys, by folded name, that it can have."""
    context = ConnectionContext(
        realm=realm,
        certificate=CertificateAttributes("5a" * 32, "1", {}, {}, {}, {}),
        source_ip="192.0.2.1",
        client_id=SAMPLE_THING,
        thing=Thing(SAMPLE_THING, "sample-type"),
        domain_name="home.example",
        current_time=_NOW,
        tls_version="1.3",
        not_before=_NOW - timedelta(days=10),
        not_after=_NOW + timedelta(days=10),
        enrollment_method="token",
    )
    for name in sorted(names):
        if name.startswith((ATTRIBUTES, f"{CERTIFICATE}.")):
            context = with_key(context, name, "sample") or context
    return context


def sample_contexts(
    statements: Iterable[Statement], base: ConnectionContext
) -> Iterator[tuple[str, ConnectionContext]]:
    """Yield connections, each with what it is: the base, some that have less, and those that conditions ask for."""
    yield f"thing {SAMPLE_THING}", base
    yield "no thing", replace(base, client_id=NOBODY, thing=None)
    yield "over HTTPS", replace(base, protocol="https", client_id=None, thing=None)
    for statement in statements:
        wanted = base
        for condition, written in zip(statement.conditions, statement.written.conditions, strict=True):
            for value in _candidates(written, base):
                context = with_key(base, condition.key, value)
                if context is not None:
                    yield f"{shown(written.key)} {shown(value)}", context
            wanted = _as_wanted(wanted, condition, written)
        if len(statement.conditions) > 1:
            yield f"as {statement.written.place} asks", wanted


def instance(pattern: Pattern, lookup: Callable[[str], str | None], star: str) -> str | None:
    """Return a text that a pattern matches, with `star` for each ``*``; None where a variable has no value."""
    parts: list[str] = []
    for token in pattern.tokens:
        if isinstance(token, Variable):
            value = build_pattern((token,)).resolve(lookup)
            if value is None or value.literal is None:
                return None
            parts.append(value.literal)
        elif isinstance(token, Wildcard):
            parts.append(star if token is Wildcard.MANY else "x")
        else:
            parts.append(token)
    return "".join(parts)


def _as_wanted(context: ConnectionContext, condition: Condition, written: WrittenCondition) -> ConnectionContext:
    """Return the connection with a value for which the condition holds, or as it is where none is found."""
    for value in (None, *_candidates(written, context)):
        changed = context if value is None else with_key(context, condition.key, value)
        if changed is not None and condition.holds(request_keys(connection_keys(changed), changed, Action.CONNECT)):
            return changed
    return context


def _candidates(written: WrittenCondition, context: ConnectionContext) -> Iterator[str]:
    """Yield values of a condition's key that it may hold for, and some next to them."""
    lookup = request_keys(connection_keys(context), context, Action.CONNECT).variable
    for value in written.values:
        if written.base.startswith(("Numeric", "Date")):
            yield from _around(value)
        elif written.base.endswith("IpAddress"):
            network = ip_network(value, strict=False)
            yield str(network[0])
            yield _OUTSIDE_V4 if network.version == 4 else _OUTSIDE_V6
        elif written.base != "Null":
            text = instance(build_pattern(_scan(value)), lookup, "x")
            if text is not None:
                yield text


def _scan(value: str) -> tuple[Token, ...]:
    try:
        return scan(value, variables=True)
    except ValueError:
        return scan(value, variables=False)  # of a document that has none


def _around(value: str) -> Iterator[str]:
    """Yield a number or a time, and the nearest before and after it."""
    try:
        number = Decimal(value)
        yield from (str(number), str(number - 1), str(number + 1))
    except ArithmeticError:
        yield from _around_moment(value)


def _around_moment(value: str) -> Iterator[str]:
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        yield from [(moment + timedelta(seconds=seconds)).isoformat() for seconds in (0, -1, 1)]
    except (ValueError, OverflowError):
        yield value  # a month or a year alone; or the end of time
