"""Many at the same instant, on both databases: a thing goes to one of them, and a request has one answer."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.enrolling import enrollment_at
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import OPERATOR, Maker, enrollment, register

from troth.enrollment.flow import Enrolled, Waiting
from troth.enrollment.newcomers import readmit
from troth.enrollment.presented import Presented
from troth.enrollment.proofs.combined import EnrollmentClaim
from troth.enrollment.requests import approve_request
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.requests import Request

CAMERAS = 'name = "cameras"\nprofile = "device"\nproofs = ["idevid"]\n[thing]\nname = "cam-{serial}"\ncreate = true\n'

ASKED = 'name = "asked"\nprofile = "device"\nproofs = ["approval"]\n[thing]\nname = "{request}"\ncreate = true\n'

Outcome = Enrolled | Waiting | BaseException


def race(authority: TestAuthority, folder: Path, asked: list[tuple[Presented, Request]]) -> list[Outcome]:
    """Have two gateways asked all at once."""

    async def work() -> list[Outcome]:
        bell = folder / "bell"
        async with (
            authority.serving(bell),
            enrollment_at(authority, bell) as first,
            enrollment_at(authority, bell) as second,
        ):
            under_way = [
                (first if number % 2 else second).enroll(EnrollmentClaim(presented), request)
                for number, (presented, request) in enumerate(asked)
            ]
            return await asyncio.gather(*under_way, return_exceptions=True)

    return asyncio.run(work())


def issued(authority: TestAuthority) -> int:
    return len([entry for entry in entries(authority.db, "certificate.issued") if entry.data["thing"]])


def a_request(name: str = "cam-A1") -> Request:
    return new_request(generate(KeyAlgorithm.P256), name)


@pytest.fixture
def maker(any_authority: TestAuthority, tmp_path: Path) -> Maker:
    maker = Maker.new(tmp_path, any_authority.clock.now())
    register(any_authority, maker)
    enrollment(any_authority, CAMERAS)
    return maker


def shown(maker: Maker, serial: str = "A1", common_name: str = "camera") -> Presented:
    der = maker.device(serial, common_name=common_name).certificate.public_bytes(Encoding.DER)
    return Presented(peer_chain=(der,), is_stranger=True, label="cameras")


@pytest.mark.parametrize("is_known", [False, True])
def test_the_same_request_eight_times_has_one_answer(
    any_authority: TestAuthority, maker: Maker, tmp_path: Path, is_known: bool
) -> None:
    presented, request = shown(maker), a_request()
    if is_known:
        assert isinstance(race(any_authority, tmp_path, [(presented, a_request())])[0], Enrolled)
    before = issued(any_authority)
    outcomes = race(any_authority, tmp_path, [(presented, request)] * 8)
    assert all(isinstance(each, Enrolled) for each in outcomes), outcomes
    assert len({each.intent_id for each in outcomes if isinstance(each, Enrolled)}) == 1
    assert issued(any_authority) == before + 1


@pytest.mark.parametrize("is_open", [False, True])
def test_a_thing_that_many_claim_is_one_claimants(
    any_authority: TestAuthority, maker: Maker, tmp_path: Path, is_open: bool
) -> None:
    if is_open:
        assert isinstance(race(any_authority, tmp_path, [(shown(maker), a_request())])[0], Enrolled)
        with change(any_authority.db, any_authority.clock, OPERATOR) as changing:
            readmit(changing, "cam-A1")
    before = issued(any_authority)
    rivals = [(shown(maker, common_name=f"rival {number}"), a_request()) for number in range(8)]
    outcomes = race(any_authority, tmp_path, rivals)
    lost = [each for each in outcomes if not isinstance(each, Enrolled)]
    assert len(lost) == 7
    assert {each.kind if isinstance(each, Fault) else each for each in lost} == {Kind.UNAUTHENTICATED}
    assert issued(any_authority) == before + 1


def test_a_request_is_filed_once_and_what_was_approved_is_fetched_once(
    any_authority: TestAuthority, tmp_path: Path
) -> None:
    enrollment(any_authority, ASKED)
    asked = [(Presented(label="asked", address="192.0.2.1"), a_request("guest-1"))] * 8
    waiting = race(any_authority, tmp_path, asked)
    assert all(isinstance(each, Waiting) for each in waiting), waiting
    (request_id,) = {each.request_id for each in waiting if isinstance(each, Waiting)}
    assert len(entries(any_authority.db, "request.filed")) == 1
    with change(any_authority.db, any_authority.clock, OPERATOR) as changing:
        approve_request(changing, request_id)
    outcomes = race(any_authority, tmp_path, asked)
    assert all(isinstance(each, Enrolled) for each in outcomes), outcomes
    assert (issued(any_authority), len(entries(any_authority.db, "request.fetched"))) == (1, 1)


def test_a_key_that_many_things_come_with_is_one_things(
    any_authority: TestAuthority, maker: Maker, tmp_path: Path
) -> None:
    key = generate(KeyAlgorithm.P256)
    asked = [(shown(maker, f"A{number}"), new_request(key, f"cam-A{number}")) for number in range(6)]
    outcomes = race(any_authority, tmp_path, asked)
    lost = [each for each in outcomes if not isinstance(each, Enrolled)]
    assert {each.kind if isinstance(each, Fault) else each for each in lost} == {Kind.BAD_KEY}
    assert (len(lost), issued(any_authority)) == (5, 1)
