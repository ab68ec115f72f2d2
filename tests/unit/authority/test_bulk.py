"""Many at a time: each gets its own answer, in order, and what is asked for again finds what it has led to."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cache

import pytest
from tests.fixtures.issuance import entries

from troth.authority.bulk import Answer, Issuance
from troth.authority.issue import Wanted, prepare_many
from troth.authority.revoke import revoke
from troth.authority.settle import settle_waiting
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.limits import INTENTS_PER_CHANGE_MAX
from troth.registry.certificates import CertificateRow
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import Request


@cache
def request_of(thing: str) -> Request:
    """The one request of a thing, which it sends again and again."""
    return new_request(generate(KeyAlgorithm.P256), "any")


def wanted(thing: str, profile: str = "device", method: str = "operator") -> Wanted:
    return Wanted(profile, request_of(thing), method, {}, thing=thing)


def ask(
    authority: TestAuthority, wishes: Sequence[Wanted], rouse: Callable[[], object] | None = None, wait_s: float = 20
) -> list[Answer]:
    def settle() -> None:
        settle_waiting(authority.db, authority.clock, authority.door())

    issuance = Issuance(
        authority.db, authority.clock, "operator:anna", authority.public_url, rouse or settle, wait_s=wait_s
    )

    async def collect() -> list[Answer]:
        return [answer async for answers in issuance.answers(wishes) for answer in answers]

    return asyncio.run(collect())


def identity(answer: Answer) -> str:
    assert isinstance(answer.outcome, CertificateRow), answer.outcome
    return answer.outcome.certificate_id


@pytest.fixture(autouse=True)
def _things(authority: TestAuthority) -> None:
    for name in ("lamp-1", "lamp-2", "lamp-3"):
        authority.thing(name)


def test_one_that_may_not_be_issued_keeps_no_other_from_it(authority: TestAuthority) -> None:
    wishes = [wanted("lamp-1"), wanted("nobody"), wanted("lamp-2"), wanted("lamp-3", profile="none")]
    answers = ask(authority, wishes)
    assert [answer.wanted for answer in answers] == wishes
    kinds = [answer.outcome.kind if isinstance(answer.outcome, Fault) else None for answer in answers]
    assert kinds == [None, Kind.NOT_FOUND, None, Kind.NOT_FOUND]
    assert answers[0].outcome.thing == "lamp-1"  # type: ignore[union-attr]


def test_all_of_a_batch_are_intended_in_one_change(authority: TestAuthority) -> None:
    before = len(entries(authority.db, "certificate.intended"))
    ask(authority, [wanted(f"lamp-{number}") for number in (1, 2, 3)])
    intended = entries(authority.db, "certificate.intended")[before:]
    assert len({entry.at for entry in intended}) == 1
    assert [entry.number for entry in intended] == list(range(intended[0].number, intended[0].number + 3))


def test_what_is_asked_for_again_is_found_and_what_is_revoked_is_not(authority: TestAuthority) -> None:
    first, again = ask(authority, [wanted("lamp-1"), wanted("lamp-1")])
    assert identity(again) == identity(first)
    assert identity(ask(authority, [wanted("lamp-1")])[0]) == identity(first)
    # Another thing, or another way of proving it, is another wish.
    assert identity(ask(authority, [wanted("lamp-2")])[0]) != identity(first)
    assert identity(ask(authority, [wanted("lamp-1", method="claim")])[0]) != identity(first)
    with change(authority.db, authority.clock, "operator:anna") as changing:
        revoke(changing, identity(first))
    assert identity(ask(authority, [wanted("lamp-1")])[0]) != identity(first)


def test_without_an_authority_nothing_is_lost(authority: TestAuthority) -> None:
    (answer,) = ask(authority, [wanted("lamp-1")], rouse=lambda: None, wait_s=0.05)
    assert isinstance(answer.outcome, Fault)
    assert (answer.outcome.kind, answer.outcome.retry_after) == (Kind.UNAVAILABLE, 5.0)
    identity(ask(authority, [wanted("lamp-1")])[0])
    assert len([each for each in entries(authority.db, "certificate.intended") if each.data["thing"] == "lamp-1"]) == 1


def test_a_mistake_of_our_own_undoes_the_whole_batch(authority: TestAuthority) -> None:
    wrong = Wanted("device", request_of("lamp-1"), "operator", {}, thing="lamp-1", name="both")
    with pytest.raises(Bug), change(authority.db, authority.clock, "operator:anna") as changing:
        prepare_many(changing, [wanted("lamp-1"), wrong], authority.public_url)
    assert not [each for each in entries(authority.db, "certificate.intended") if each.data["thing"]]


@pytest.mark.slow
def test_more_than_one_change_holds_come_in_order(authority: TestAuthority) -> None:
    count = INTENTS_PER_CHANGE_MAX + 3
    for number in range(count):
        authority.thing(f"many-{number}")
    answers = ask(authority, [wanted(f"many-{number}") for number in range(count)])
    assert [answer.outcome.thing for answer in answers] == [f"many-{number}" for number in range(count)]  # type: ignore[union-attr]
