"""Renewal with a real database, a real authority and its bell: many at the same instant, on SQLite and PostgreSQL."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.enrolling import enrollment_at
from tests.fixtures.issuance import certificates, entries

from troth.enrollment.flow import Enrolled, Waiting
from troth.enrollment.proofs.certificate import CertificateClaim
from troth.enrollment.renewal import note_first_use
from troth.errors import Fault, Kind
from troth.keys.file import generate
from troth.testing.authority import TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id

MANY = 8


def race(
    authority: TestAuthority, folder: Path, *, same_request: bool
) -> tuple[str, list[Enrolled | Waiting | BaseException]]:
    """Return the certificate that many renew at the same instant through two workers, and what came of it."""
    held = authority.device("lamp-1")
    claim = CertificateClaim(held.certificate.public_bytes(Encoding.DER))
    one = new_request(generate(KeyAlgorithm.P256), "lamp-1")
    requests = [one if same_request else new_request(generate(KeyAlgorithm.P256), "lamp-1") for _ in range(MANY)]

    async def work() -> list[Enrolled | Waiting | BaseException]:
        bell = folder / "bell"
        async with (
            authority.serving(bell),
            enrollment_at(authority, bell) as first,
            enrollment_at(authority, bell) as second,
        ):
            asked = [
                (first if number % 2 else second).enroll(claim, request) for number, request in enumerate(requests)
            ]
            return await asyncio.gather(*asked, return_exceptions=True)

    return held.certificate_id, asyncio.run(work())


def test_the_same_request_many_times_at_once_is_one_renewal(any_authority: TestAuthority, tmp_path: Path) -> None:
    before, outcomes = race(any_authority, tmp_path, same_request=True)
    enrolled = [outcome for outcome in outcomes if isinstance(outcome, Enrolled)]
    assert len(enrolled) == MANY, outcomes
    assert len({outcome.certificate for outcome in enrolled}) == 1
    states = {row.certificate_id: row.state.value for row in certificates(any_authority.db, "lamp-1")}
    assert states == {before: "ACTIVE", certificate_id(enrolled[0].certificate): "ACTIVE"}


def test_many_requests_at_once_leave_one_renewal(any_authority: TestAuthority, tmp_path: Path) -> None:
    before, outcomes = race(any_authority, tmp_path, same_request=False)
    refused = {outcome.kind for outcome in outcomes if isinstance(outcome, Fault)}
    # Those whose place another took before they were signed, or before they were told.
    assert refused <= {Kind.REJECTED, Kind.UNAUTHENTICATED}
    assert not [outcome for outcome in outcomes if not isinstance(outcome, Enrolled | Fault)]
    active = [row for row in certificates(any_authority.db, "lamp-1") if row.state == "ACTIVE"]
    assert len(active) == 2
    (renewed,) = (row.certificate_id for row in active if row.certificate_id != before)
    assert note_first_use(any_authority.db, any_authority.clock, renewed)
    assert [row.certificate_id for row in certificates(any_authority.db, "lamp-1") if row.state == "ACTIVE"] == [
        renewed
    ]
    ended = [entry.data["outcome"] for entry in entries(any_authority.db, "renewal.ended")]
    assert sorted(ended) == ["REPLACED"] * (MANY - 1) + ["USED"]


def test_a_renewal_and_its_first_use_at_once_end_in_one_certificate(
    any_authority: TestAuthority, tmp_path: Path
) -> None:
    held = any_authority.device("lamp-1")
    claim = CertificateClaim(held.certificate.public_bytes(Encoding.DER))

    async def work() -> str:
        bell = tmp_path / "bell"
        async with any_authority.serving(bell), enrollment_at(any_authority, bell) as enrollment:
            first = await enrollment.enroll(claim, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
            assert isinstance(first, Enrolled)
            renewed = certificate_id(first.certificate)
            again = enrollment.enroll(claim, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
            using = asyncio.to_thread(note_first_use, any_authority.db, any_authority.clock, renewed)
            await asyncio.gather(again, using, return_exceptions=True)
        return renewed

    asyncio.run(work())
    rows = certificates(any_authority.db, "lamp-1")
    assert any(row.state == "ACTIVE" for row in rows)
    assert {entry.data["outcome"] for entry in entries(any_authority.db, "renewal.ended")} <= {"USED", "REPLACED"}


@pytest.mark.parametrize("wrong", ["operators", "servers"])
def test_other_certificates_of_ours_renew_nothing(any_authority: TestAuthority, tmp_path: Path, wrong: str) -> None:
    any_authority.thing("lamp-1")
    other = any_authority.operator("lamp-1") if wrong == "operators" else any_authority.server("localhost")
    claim = CertificateClaim(other.certificate.public_bytes(Encoding.DER))

    async def work() -> None:
        async with enrollment_at(any_authority, tmp_path / "bell") as enrollment:
            with pytest.raises(Fault) as caught:
                await enrollment.enroll(claim, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
            assert caught.value.kind is Kind.UNAUTHENTICATED

    asyncio.run(work())
    assert certificates(any_authority.db, "lamp-1") == []
