from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.fixtures.issuance import entries

from troth.enrollment.token_batches import create_tokens
from troth.enrollment.tokens import (
    NewToken,
    TokenState,
    create_token,
    digest_of,
    find_token,
    list_tokens,
    revoke_token,
    spend_token,
)
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.limits import DEFAULT, Limits
from troth.registry.things import get_thing
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock

QUARTER = timedelta(minutes=15)


def make(authority: TestAuthority, thing: str = "lamp-1", ttl: timedelta = QUARTER) -> NewToken:
    authority.thing(thing)
    with change(authority.db, authority.clock, "operator:anna") as changing:
        return create_token(changing, thing, ttl)


def test_a_token_is_shown_once_and_kept_as_a_digest(authority: TestAuthority, clock: FakeClock) -> None:
    new = make(authority)
    assert len(new.secret) == 22
    assert new.secret not in repr(new)
    with read(authority.db) as connection:
        everything = [
            row for table in ("tokens", "journal_entries") for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]
        assert find_token(connection, new.secret) == new.token
    assert new.secret.encode() not in repr(everything).encode()
    assert digest_of(new.secret) in repr(everything)
    assert new.token.expires_at == clock.now() + QUARTER
    (entry,) = entries(authority.db, "token.created")
    assert (entry.subject, entry.data["thing"], entry.actor) == (new.token.token_id, "lamp-1", "operator:anna")


def test_no_two_tokens_are_alike(authority: TestAuthority) -> None:
    assert len({make(authority).secret for _ in range(5)}) == 5


def test_a_token_is_for_a_thing_that_exists(authority: TestAuthority, clock: FakeClock) -> None:
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        create_token(changing, "lamp-9", QUARTER)
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("profile", ["server", "operator", "root", "issuing-devices"])
def test_a_token_is_never_for_anything_but_things(authority: TestAuthority, clock: FakeClock, profile: str) -> None:
    authority.thing("lamp-1")
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        create_token(changing, "lamp-1", QUARTER, profile=profile)
    assert caught.value.kind is Kind.REJECTED


@pytest.mark.parametrize(
    ("ttl", "kind"),
    [
        (timedelta(0), Kind.REJECTED),
        (timedelta(seconds=-1), Kind.REJECTED),
        (timedelta(seconds=DEFAULT.token_ttl_s_max + 1), Kind.TOO_LARGE),
    ],
)
def test_a_tokens_life_is_bounded(authority: TestAuthority, ttl: timedelta, kind: Kind) -> None:
    with pytest.raises(Fault) as caught:
        make(authority, ttl=ttl)
    assert caught.value.kind is kind


def test_the_bound_is_a_setting(authority: TestAuthority, clock: FakeClock) -> None:
    authority.thing("lamp-1")
    with pytest.raises(Fault), change(authority.db, clock, "operator:anna") as changing:
        create_token(changing, "lamp-1", QUARTER, limits=Limits(token_ttl_s_max=60))


def test_what_a_token_is_good_for(authority: TestAuthority, clock: FakeClock) -> None:
    new, now = make(authority), clock.now()
    assert new.token.state(now + QUARTER - timedelta(microseconds=1)) is TokenState.UNUSED
    assert new.token.state(now + QUARTER) is TokenState.EXPIRED
    with change(authority.db, clock, "device:lamp-1") as changing:
        spend_token(changing, new.token.token_id, new.token.thing, "i1")
    with read(authority.db) as connection:
        spent = find_token(connection, new.secret)
    assert spent is not None
    assert (spent.state(now), spent.state(now + QUARTER), spent.intent_id) == (TokenState.SPENT, TokenState.SPENT, "i1")
    with change(authority.db, clock, "operator:anna") as changing:
        assert revoke_token(changing, new.token.token_id).state(now) is TokenState.REVOKED


def test_revoked_twice_is_revoked_once(authority: TestAuthority, clock: FakeClock) -> None:
    new = make(authority)
    for _ in range(2):
        with change(authority.db, clock, "operator:anna") as changing:
            assert revoke_token(changing, new.token.token_id).revoked_at == clock.now()
    assert len(entries(authority.db, "token.revoked")) == 1
    with pytest.raises(Fault) as caught, change(authority.db, clock, "operator:anna") as changing:
        revoke_token(changing, "0" * 32)
    assert caught.value.kind is Kind.NOT_FOUND


def test_tokens_are_listed_page_by_page(authority: TestAuthority) -> None:
    made = sorted(make(authority, thing).token.token_id for thing in ("lamp-1", "lamp-1", "lamp-2"))
    with read(authority.db) as connection:
        assert [token.token_id for token in list_tokens(connection)] == made
        first = list_tokens(connection, limit=2)
        rest = list_tokens(connection, after=first[-1].token_id)
        assert [token.token_id for token in (*first, *rest)] == made
        assert {token.thing for token in list_tokens(connection, thing="lamp-1")} == {"lamp-1"}
        assert list_tokens(connection, thing="lamp-9") == []


def test_a_list_makes_each_thing_once_and_tells_the_names_that_cannot_be(authority: TestAuthority) -> None:
    authority.thing("there")
    names = ["new", "there", "no name", "new", "other"]
    with change(authority.db, authority.clock, "operator:anna") as changing:
        outcomes = create_tokens(changing, names, QUARTER, creates=True)
    assert [each.kind if isinstance(each, Fault) else each.token.thing for each in outcomes] == [
        "new",
        "there",
        Kind.MALFORMED,
        "new",
        "other",
    ]
    made = [entry.subject for entry in entries(authority.db, "thing.created")]
    assert sorted(made) == ["new", "other", "there"]
    with read(authority.db) as connection:
        assert {token.thing for token in list_tokens(connection)} == {"new", "there", "other"}
        lone = get_thing(connection, "new")
    assert (lone.type, lone.attributes, lone.version) == (None, {}, 1)
