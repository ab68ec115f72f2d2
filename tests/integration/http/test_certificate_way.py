"""An enrollment that takes a thing's certificate for a proof of the thing, for a further one; and who shows what."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs
from tests.fixtures.doors import Answer, RunningDoors, curl
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.strangers import OPERATOR, Bearer, Maker, a_request, come, enrollment, register

from troth.authority.settle import issue
from troth.enrollment.requests import approve_request, list_requests
from troth.journal.change import change
from troth.keys.file import generate, render_key
from troth.registry.foreign_issuers import ForeignPurpose
from troth.registry.states import deactivate
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.needs("curl")

FURTHER = 'name = "further"\nprofile = "device"\nproofs = ["certificate"]\n'
APPROVED = 'name = "further"\nprofile = "device"\nproofs = ["certificate", "approval"]\n'


def active(site: TestAuthority, thing: str) -> int:
    return sum(row.state == "ACTIVE" for row in certificates(site.db, thing))


def test_a_thing_gets_a_further_certificate_and_keeps_the_one_it_has(
    live_authority: TestAuthority, doors: RunningDoors
) -> None:
    site = live_authority
    enrollment(site, FURTHER)
    held = site.device("lamp-1")
    body = a_request("lamp-1")
    first = come(doors, "further", body, held)
    assert first.status == 200
    assert come(doors, "further", body, held).body == first.body
    assert active(site, "lamp-1") == 2
    # It is no renewal, and the same request for one is not answered by it.
    renewed = curl(
        f"https://localhost:{doors.https}/.well-known/est/simplereenroll",
        "--header",
        "Content-Type: application/pkcs10",
        "--cert",
        str(held.chain_file),
        "--key",
        str(held.key_file),
        root=site.root_file,
        data=body,
    )
    assert renewed.status == 200
    assert renewed.body != first.body


def _claim(site: TestAuthority) -> Held:
    """A certificate of ours that is no thing's."""
    key = generate(KeyAlgorithm.P256)
    certificate = issue(
        site.db,
        site.clock,
        site.door(),
        OPERATOR,
        profile="claim",
        request=new_request(key, "batch"),
        name="batch",
        method="operator",
        proof={},
        public_url=site.public_url,
    )
    chain_file, key_file = site.folder / "claim.pem", site.folder / "claim.key"
    chain_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(render_key(key, None))
    return Held(certificate, (certificate,), key, chain_file, key_file)


def _stranger(site: TestAuthority) -> Bearer:
    maker = Maker.new(site.folder, site.clock.now())
    register(site, maker, "acme", ForeignPurpose.CUSTOMER)
    return maker.device("A1", common_name="lamp-1")


def _inactive(site: TestAuthority) -> Held:
    held = site.device("lamp-1")
    with change(site.db, site.clock, OPERATOR) as changing:
        deactivate(changing, held.certificate_id)
    return held


def _revoked(site: TestAuthority) -> Held:
    held = site.device("lamp-1")
    site.revoke(held)
    return held


def _expired(site: TestAuthority) -> Held:
    return site.device("lamp-1", at=site.clock.now() - timedelta(days=91))


WRONG: dict[str, tuple[Callable[[TestAuthority], Bearer | Held | None], int, str]] = {
    "nothing": (lambda _: None, 401, "no certificate of ours was shown"),
    "a customer's": (_stranger, 401, "no certificate of ours was shown"),
    "no thing's": (_claim, 401, "is no thing's"),
    "inactive": (_inactive, 401, "is inactive"),
    "revoked": (_revoked, 401, "is revoked"),
    "expired": (_expired, 403, ""),
    "another thing's": (lambda site: site.device("lamp-2"), 422, ""),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_proves_no_thing_gets_nothing(live_authority: TestAuthority, tmp_path: Path, wrong: str) -> None:
    site = live_authority
    site.thing("lamp-1")
    enrollment(site, FURTHER)
    make, status, reason = WRONG[wrong]
    shown = make(site)
    doors = RunningDoors(site, tmp_path / "bell-2")
    try:
        before = len(entries(site.db, "certificate.issued"))
        with capture_logs() as logs:
            answer: Answer = come(doors, "further", a_request("lamp-1"), shown)
        assert answer.status == status
        refused = [str(each["reason"]) for each in logs if each["event"] == "enrollment.refused"]
        assert all(reason in each for each in refused)
        assert bool(refused) or status == 403
        assert len(entries(site.db, "certificate.issued")) == before
        honest = site.device("lamp-3")
        assert come(doors, "further", a_request("lamp-3"), honest).status == 200
    finally:
        doors.close()


def test_together_with_a_persons_word(live_authority: TestAuthority, doors: RunningDoors) -> None:
    site = live_authority
    enrollment(site, APPROVED)
    held, body = site.device("lamp-1"), a_request("lamp-1")
    assert come(doors, "further", body).status == 401
    assert come(doors, "further", body, held).status == 202
    with read(site.db) as connection:
        (waits,) = list_requests(connection)
    with change(site.db, site.clock, OPERATOR) as changing:
        approve_request(changing, waits.request_id)
    # The person's word is not enough without the certificate, nor with one that has been withdrawn since.
    assert come(doors, "further", body).status == 401
    assert come(doors, "further", body, held).status == 200
    again = a_request("lamp-1")
    assert come(doors, "further", again, held).status == 202
    site.revoke(held)
    assert come(doors, "further", again, held).status == 401


def test_a_certificate_of_no_thing_is_not_renewed_and_says_so(
    live_authority: TestAuthority, doors: RunningDoors
) -> None:
    claim = _claim(live_authority)
    answer = curl(
        f"https://localhost:{doors.https}/.well-known/est/simplereenroll",
        "--header",
        "Content-Type: application/pkcs10",
        "--cert",
        str(claim.chain_file),
        "--key",
        str(claim.key_file),
        root=live_authority.root_file,
        data=a_request("batch"),
    )
    assert answer.status == 403
    assert b"issued for no thing" in answer.body
