"""Enrollment with a real database, a real authority and its bell; honest devices beside those who are not."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.enrolling import enrollment_at, new_token
from tests.fixtures.issuance import certificates, entries

from troth.authority.revoke import revoke
from troth.authority.settle import settle_waiting
from troth.enrollment.conclusions import Conclusions
from troth.enrollment.flow import Enrolled, Enrollment, Waiting
from troth.enrollment.proofs.token import TokenClaim
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.limits import ENROLLMENTS_PENDING_MAX, INTENT_AGE_S_MAX
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.requests import Request, parse_request
from troth.x509.verify import verify_chain

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    return asyncio.run(work)


def a_request(thing: str = "lamp-1", key: FileKey | None = None) -> Request:
    return new_request(key or generate(KeyAlgorithm.P256), thing)


def granted(outcome: Enrolled | Waiting) -> Enrolled:
    assert isinstance(outcome, Enrolled)
    return outcome


async def enroll_once(authority: TestAuthority, folder: Path, claim: TokenClaim, request: Request) -> Enrolled:
    bell = folder / "bell"
    async with authority.serving(bell), enrollment_at(authority, bell) as enrollment:
        return granted(await enrollment.enroll(claim, request))


def issued(authority: TestAuthority) -> int:
    return len(entries(authority.db, "certificate.issued"))


def test_a_device_with_a_token_gets_its_certificate(any_authority: TestAuthority, tmp_path: Path) -> None:
    authority, key = any_authority, generate(KeyAlgorithm.P256)
    claim = TokenClaim("lamp-1", new_token(authority))
    enrolled = run(enroll_once(authority, tmp_path, claim, a_request(key=key)))
    assert enrolled.thing == "lamp-1"
    assert enrolled.certificate.public_key() == key.public_key
    chain = [enrolled.certificate, authority.issuer(Purpose.DEVICES)]
    verify_chain(chain, [authority.root], at=authority.clock.now(), use=ExtendedUse.CLIENT_AUTH)
    (row,) = certificates(authority.db, "lamp-1")
    assert (row.method, row.state) == ("token", "ACTIVE")
    (spent,) = entries(authority.db, "token.spent")
    (intended,) = [each for each in entries(authority.db, "certificate.intended") if each.data["thing"]]
    # One change: the entries stand side by side, at the same time, by the same actor.
    assert (spent.number, spent.at, spent.actor) == (intended.number + 1, intended.at, "device:lamp-1")
    assert spent.data["intent"] == intended.subject == enrolled.intent_id


def test_the_same_request_with_the_same_token_is_answered_again(authority: TestAuthority, tmp_path: Path) -> None:
    claim, request = TokenClaim("lamp-1", new_token(authority)), a_request()

    async def work() -> list[Enrolled]:
        bell = tmp_path / "bell"
        async with authority.serving(bell), enrollment_at(authority, bell) as enrollment:
            return [granted(await enrollment.enroll(claim, request)) for _ in range(2)]

    first, second = run(work())
    assert first == second
    assert issued(authority) == 1
    assert len(entries(authority.db, "token.spent")) == 1


def test_another_request_with_the_same_token_is_refused(authority: TestAuthority, tmp_path: Path) -> None:
    claim = TokenClaim("lamp-1", new_token(authority))
    run(enroll_once(authority, tmp_path, claim, a_request()))
    with pytest.raises(Fault) as caught:
        run(enroll_once(authority, tmp_path, claim, a_request()))
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert issued(authority) == 1


@pytest.mark.parametrize("same_request", [True, False])
def test_a_token_raced_by_eight_is_spent_once(any_authority: TestAuthority, tmp_path: Path, same_request: bool) -> None:
    authority = any_authority
    claim, one = TokenClaim("lamp-1", new_token(authority)), a_request()
    requests = [one if same_request else a_request() for _ in range(8)]

    async def work() -> list[Enrolled | Waiting | BaseException]:
        bell = tmp_path / "bell"
        async with (
            authority.serving(bell),
            enrollment_at(authority, bell) as first,
            enrollment_at(authority, bell) as second,
        ):
            asked = [
                (first if number % 2 else second).enroll(claim, request) for number, request in enumerate(requests)
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

    outcomes = run(work())
    won = [outcome for outcome in outcomes if isinstance(outcome, Enrolled)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome, Enrolled)]
    assert len(won) == (8 if same_request else 1)
    assert len({outcome.intent_id for outcome in won}) == 1
    assert {outcome.kind for outcome in lost if isinstance(outcome, Fault)} <= {Kind.UNAUTHENTICATED}
    assert len(entries(authority.db, "token.spent")) == 1
    assert issued(authority) == 1


def test_another_things_token_enrolls_nobody(authority: TestAuthority, tmp_path: Path) -> None:
    secret = new_token(authority, "lamp-1")
    authority.thing("safe-1")
    with pytest.raises(Fault) as caught:
        run(enroll_once(authority, tmp_path, TokenClaim("safe-1", secret), a_request("safe-1")))
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert issued(authority) == 0
    run(enroll_once(authority, tmp_path, TokenClaim("lamp-1", secret), a_request("lamp-1")))


def test_a_request_for_another_name_is_refused_and_the_token_kept(authority: TestAuthority, tmp_path: Path) -> None:
    claim = TokenClaim("lamp-1", new_token(authority))
    with pytest.raises(Fault) as caught:
        run(enroll_once(authority, tmp_path, claim, a_request("safe-1")))
    assert caught.value.kind is Kind.REJECTED
    assert issued(authority) == 0
    run(enroll_once(authority, tmp_path, claim, a_request("lamp-1")))


def test_a_request_without_a_name_gets_the_things(authority: TestAuthority, tmp_path: Path) -> None:
    key = generate(KeyAlgorithm.P256)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key.private_key, SHA256())
    request = parse_request(csr.public_bytes(Encoding.DER))
    enrolled = run(enroll_once(authority, tmp_path, TokenClaim("lamp-1", new_token(authority)), request))
    assert enrolled.certificate.subject.rfc4514_string() == "CN=lamp-1"


def test_a_thing_with_a_long_name_is_enrolled_too(authority: TestAuthority, tmp_path: Path) -> None:
    thing = "lamp-" + "1" * 123
    request = parse_request(build_request(generate(KeyAlgorithm.P256), thing))
    enrolled = run(enroll_once(authority, tmp_path, TokenClaim(thing, new_token(authority, thing)), request))
    assert enrolled.thing == thing


@pytest.mark.parametrize("minutes", [14, 15, 16])
def test_a_token_is_good_until_it_expires_by_our_clock(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock, minutes: int
) -> None:
    claim = TokenClaim("lamp-1", new_token(authority, minutes=15))
    clock.advance(timedelta(minutes=minutes))
    if minutes < 15:
        run(enroll_once(authority, tmp_path, claim, a_request()))
    else:
        with pytest.raises(Fault) as caught:
            run(enroll_once(authority, tmp_path, claim, a_request()))
        assert caught.value.kind is Kind.UNAUTHENTICATED
    assert issued(authority) == (1 if minutes < 15 else 0)


def test_who_proves_nothing_gets_no_turn_at_the_database(authority: TestAuthority, tmp_path: Path) -> None:
    """While one writer holds the database, a wrong token is answered all the same."""

    async def work() -> None:
        async with enrollment_at(authority, tmp_path / "bell") as enrollment:
            with change(authority.db, authority.clock, "test:writer") as changing:
                changing.record("test.written", "x")
                async with asyncio.timeout(5):
                    with pytest.raises(Fault) as caught:
                        await enrollment.enroll(TokenClaim("lamp-1", "A" * 22), a_request())
            assert caught.value.kind is Kind.UNAUTHENTICATED

    run(work())


def test_without_an_authority_the_request_waits_and_is_found_again(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    claim, request = TokenClaim("lamp-1", new_token(authority)), a_request()

    async def ask() -> Enrolled:
        async with enrollment_at(authority, tmp_path / "bell", wait_s=0.05) as enrollment:
            return granted(await enrollment.enroll(claim, request))

    for _ in range(2):
        with pytest.raises(Fault) as caught:
            run(ask())
        assert caught.value.kind is Kind.UNAVAILABLE
        assert caught.value.retry_after is not None
    # The gateway has died meanwhile, and the authority comes up.
    assert settle_waiting(authority.db, clock, authority.door()).settled == 1
    assert run(ask()).certificate.serial_number
    assert issued(authority) == 1


def test_a_request_that_waited_too_long_is_asked_for_anew_with_the_same_token(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    claim, request = TokenClaim("lamp-1", new_token(authority, minutes=60)), a_request()

    async def ask() -> Enrolled:
        async with enrollment_at(authority, tmp_path / "bell", wait_s=0.05) as enrollment:
            return granted(await enrollment.enroll(claim, request))

    with pytest.raises(Fault):
        run(ask())
    clock.advance(timedelta(seconds=INTENT_AGE_S_MAX + 1))
    assert settle_waiting(authority.db, clock, authority.door()).settled == 1
    assert issued(authority) == 0
    run(enroll_once(authority, tmp_path, claim, request))
    assert issued(authority) == 1


def test_what_the_authority_refuses_is_told_to_who_waits(authority: TestAuthority, tmp_path: Path) -> None:
    """The gateway's clock is two minutes ahead of the authority's."""
    ahead = TestAuthority(
        tmp_path,
        db=authority.db,
        clock=FakeClock(authority.clock.now() + timedelta(minutes=2)),
        cabinet=authority.cabinet,
    )
    claim = TokenClaim("lamp-1", new_token(authority))

    async def work() -> None:
        bell = tmp_path / "bell"
        async with authority.serving(bell), enrollment_at(ahead, bell) as enrollment:
            await enrollment.enroll(claim, a_request())

    with pytest.raises(Fault) as caught:
        run(work())
    assert caught.value.kind is Kind.EXPIRED
    assert issued(authority) == 0


def test_a_revoked_certificate_is_not_handed_out_again(authority: TestAuthority, tmp_path: Path) -> None:
    claim, request = TokenClaim("lamp-1", new_token(authority)), a_request()
    run(enroll_once(authority, tmp_path, claim, request))
    (row,) = certificates(authority.db, "lamp-1")
    with change(authority.db, authority.clock, "operator:anna") as changing:
        revoke(changing, row.certificate_id)
    with pytest.raises(Fault) as caught:
        run(enroll_once(authority, tmp_path, claim, request))
    assert caught.value.kind is Kind.UNAUTHENTICATED
    assert issued(authority) == 1


def test_enrolled_anew_with_a_new_token_the_old_certificate_stays(authority: TestAuthority, tmp_path: Path) -> None:
    for _ in range(2):
        run(enroll_once(authority, tmp_path, TokenClaim("lamp-1", new_token(authority)), a_request()))
    assert [row.state for row in certificates(authority.db, "lamp-1")] == ["ACTIVE", "ACTIVE"]


def test_enrollments_under_way_are_bounded(authority: TestAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ENROLLMENTS_PENDING_MAX > 100
    monkeypatch.setattr("troth.enrollment.flow.ENROLLMENTS_PENDING_MAX", 0)

    async def work() -> None:
        enrollment = Enrollment(authority.db, authority.clock, authority.public_url, Conclusions(), lambda: None, 1.0)
        try:
            await enrollment.enroll(TokenClaim("lamp-1", "A" * 22), a_request())
        finally:
            enrollment.close()

    with pytest.raises(Fault) as caught:
        run(work())
    assert caught.value.kind is Kind.UNAVAILABLE
