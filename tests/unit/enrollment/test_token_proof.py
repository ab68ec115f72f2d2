"""A token proves what it was made to prove, and every failure sounds the same."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.fixtures.issuance import reread

from troth.authority.intents import Intent
from troth.authority.issue import prepare, refuse
from troth.enrollment.proofs.claim import Proof
from troth.enrollment.proofs.token import TokenClaim
from troth.enrollment.tokens import NewToken, create_token, revoke_token
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.limits import TOKEN_CHARS_MAX
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import Request

QUARTER = timedelta(minutes=15)


@pytest.fixture
def request_() -> Request:
    return new_request(generate(KeyAlgorithm.P256), "lamp-1")


@pytest.fixture
def new(authority: TestAuthority) -> NewToken:
    authority.thing("lamp-1")
    authority.thing("lamp-2")
    with change(authority.db, authority.clock, "operator:anna") as changing:
        return create_token(changing, "lamp-1", QUARTER)


def prove(authority: TestAuthority, claim: TokenClaim, request: Request) -> Proof:
    with read(authority.db) as connection:
        return claim.prove(connection, authority.clock.now(), request)


def spend(authority: TestAuthority, claim: TokenClaim, request: Request) -> Intent:
    with change(authority.db, authority.clock, "device:lamp-1") as changing:
        proof = claim.prove(changing.connection, changing.at, request, lock=True)
        intent = prepare(
            changing,
            profile=proof.profile,
            request=request,
            thing=proof.thing,
            method=proof.method,
            proof=proof.evidence,
            public_url=authority.public_url,
        )
        claim.spend(changing, proof, intent.intent_id)
    return intent


def test_the_right_token_proves_its_thing(authority: TestAuthority, new: NewToken, request_: Request) -> None:
    proof = prove(authority, TokenClaim("lamp-1", new.secret), request_)
    assert proof == Proof("token", "lamp-1", "device", {"token_id": new.token.token_id}, None)


def _wrong(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-1", "A" * 22)


def _empty(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-1", "")


def _too_long(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-1", new.secret + "A" * TOKEN_CHARS_MAX)


def _unprintable(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-1\udcff", new.secret + "\udcff")


def _for_another_thing(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-2", new.secret)


def _for_an_unprintable_thing(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-1\udcff", new.secret)


def _for_no_thing(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    return TokenClaim("lamp-9", new.secret)


def _expired(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    assert isinstance(authority.clock, FakeClock)
    authority.clock.advance(QUARTER)
    return TokenClaim("lamp-1", new.secret)


def _revoked(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    with change(authority.db, authority.clock, "operator:anna") as changing:
        revoke_token(changing, new.token.token_id)
    return TokenClaim("lamp-1", new.secret)


def _spent(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    claim = TokenClaim("lamp-1", new.secret)
    spend(authority, claim, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
    return claim


def _spent_and_revoked(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    claim = TokenClaim("lamp-1", new.secret)
    spend(authority, claim, request)
    return _revoked(authority, new, request)


def _refused_and_expired(authority: TestAuthority, new: NewToken, request: Request) -> TokenClaim:
    claim = TokenClaim("lamp-1", new.secret)
    intent = spend(authority, claim, request)
    with change(authority.db, authority.clock, "system:authority") as changing:
        refuse(changing, intent, Fault(Kind.EXPIRED, "too late"))
    return _expired(authority, new, request)


FAILURES = [
    _wrong,
    _empty,
    _too_long,
    _unprintable,
    _for_another_thing,
    _for_an_unprintable_thing,
    _for_no_thing,
    _expired,
    _revoked,
    _spent,
    _spent_and_revoked,
    _refused_and_expired,
]


@pytest.mark.parametrize("fail", FAILURES)
def test_every_failure_sounds_the_same_to_who_asks(
    authority: TestAuthority,
    new: NewToken,
    request_: Request,
    fail: Callable[[TestAuthority, NewToken, Request], TokenClaim],
) -> None:
    claim = fail(authority, new, request_)
    with pytest.raises(Fault) as caught:
        prove(authority, claim, request_)
    with pytest.raises(Fault) as twin:
        prove(authority, TokenClaim("nobody", "nothing"), request_)
    told = (caught.value.kind, caught.value.message, caught.value.hint, caught.value.retry_after, caught.value.parts)
    assert told == (Kind.UNAUTHENTICATED, twin.value.message, twin.value.hint, None, ())
    assert caught.value.detail
    assert new.secret not in caught.value.detail


def test_the_true_reasons_are_told_apart_in_the_log(authority: TestAuthority, new: NewToken, request_: Request) -> None:
    details = set()
    for fail in (_wrong, _for_another_thing, _too_long, _spent, _expired):
        with pytest.raises(Fault) as caught:
            prove(authority, fail(authority, new, request_), request_)
        details.add(caught.value.detail)
    assert len(details) >= 4


def test_a_spent_token_finds_its_intent_by_the_same_request(
    authority: TestAuthority, new: NewToken, request_: Request, clock: FakeClock
) -> None:
    claim = TokenClaim("lamp-1", new.secret)
    intent = spend(authority, claim, request_)
    clock.advance(QUARTER * 2)
    assert prove(authority, claim, request_).intent_id == intent.intent_id


def test_what_the_authority_refused_may_be_asked_for_again_with_the_same_key(
    authority: TestAuthority, new: NewToken, request_: Request
) -> None:
    claim = TokenClaim("lamp-1", new.secret)
    first = spend(authority, claim, request_)
    with change(authority.db, authority.clock, "system:authority") as changing:
        refuse(changing, first, Fault(Kind.EXPIRED, "too late"))
    with pytest.raises(Fault):
        prove(authority, claim, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
    second = spend(authority, claim, request_)
    assert second.intent_id != first.intent_id
    assert prove(authority, claim, request_).intent_id == second.intent_id
    assert reread(authority.db, first).refusal is not None


def test_only_what_was_proven_is_spent(authority: TestAuthority, new: NewToken) -> None:
    with pytest.raises(Bug), change(authority.db, authority.clock, "device:lamp-1") as changing:
        proof = Proof("token", "lamp-1", "device", {"token_id": "another"}, None)
        TokenClaim("lamp-1", new.secret).spend(changing, proof, "i1")


def test_a_claim_does_not_show_its_secret(new: NewToken) -> None:
    assert new.secret not in repr(TokenClaim("lamp-1", new.secret))
