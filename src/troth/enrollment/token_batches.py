"""Tokens for many things at once: a change and a journal entry for each batch of them.

Only their digests are kept. Whoever is cut off in the middle gives the list again: what was made before is void then
only if it is revoked, since nobody has seen the rest.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from troth.authority.derive import read_profile
from troth.enrollment import tables
from troth.enrollment.tokens import NewToken, Token, digest_of
from troth.errors import Bug, Fault, Kind
from troth.journal.change import Change
from troth.keys.randomness import random_id, random_token
from troth.limits import DEFAULT, TOKENS_PER_CHANGE_MAX, Limits
from troth.registry.profiles import get_profile
from troth.registry.things import create_things, find_things, no_thing
from troth.x509.profiles import SubjectRule

TOKENS_CREATED: Final = "tokens.created"


def create_tokens(
    change: Change,
    things: Sequence[str],
    ttl: timedelta,
    *,
    profile: str = "device",
    creates: bool = False,
    limits: Limits = DEFAULT,
) -> list[NewToken | Fault]:
    """Make a token for each of up to `TOKENS_PER_CHANGE_MAX` things; in their order, the token or why there is none.

    `creates` makes things that are not there. Raises `Fault` as `create_token` does for what is wrong with all of them.
    """
    if len(things) > TOKENS_PER_CHANGE_MAX:
        raise Bug("more tokens than one change makes")
    _check(change, ttl, profile, limits)
    refused = _missing(change, things, creates=creates)
    ends = change.at + ttl
    outcomes = [refused.get(thing) or _make(change, thing, profile, ends) for thing in things]
    made = [each for each in outcomes if isinstance(each, NewToken)]
    if made:
        change.insert(tables.tokens, [_row(each) for each in made])
        change.record(
            TOKENS_CREATED,
            made[0].token.token_id,
            profile=profile,
            expires_at=made[0].token.expires_at.isoformat(),
            tokens=[[each.token.token_id, each.token.thing] for each in made],
        )
    return outcomes


def _check(change: Change, ttl: timedelta, profile: str, limits: Limits) -> None:
    if read_profile(get_profile(change.connection, profile).document).subject is not SubjectRule.THING:
        raise Fault(Kind.REJECTED, f"profile {profile!r} is not for things")
    if not timedelta(0) < ttl <= timedelta(seconds=limits.token_ttl_s_max):
        days = limits.token_ttl_s_max // 86_400
        raise Fault(Kind.TOO_LARGE, f"a token may live for at most {days} days", hint="give a shorter --ttl")


def _missing(change: Change, things: Sequence[str], *, creates: bool) -> Mapping[str, Fault]:
    """Return why there is no token for those things that are not there, made now where that is wanted and can be."""
    there = find_things(change.connection, set(things))
    missing = [thing for thing in dict.fromkeys(things) if thing not in there]
    return create_things(change, missing) if creates else {thing: no_thing(thing) for thing in missing}


def _make(change: Change, thing: str, profile: str, ends: datetime) -> NewToken:
    token = Token(random_id(), thing, profile, change.at, ends, None, None, None, change.actor)
    return NewToken(token, random_token())


def _row(made: NewToken) -> tuple[object, ...]:
    token = made.token
    return (
        token.token_id,
        digest_of(made.secret),
        token.thing,
        token.profile,
        token.created_at,
        token.expires_at,
        token.spent_at,
        token.intent_id,
        token.revoked_at,
        token.created_by,
    )
