"""What was sent once is sent again, by somebody who has read it: no kind of message of EST gains anything by that.

Who replays has the words of the request, HTTP Basic's too, and no private key: neither the device's nor that of the
certificate on its connection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.fixtures.doors import Answer, RunningDoors, curl
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import entries
from tests.fixtures.strangers import OPERATOR, Bearer, Maker, a_request, enrollment, register

from troth.authority.revoke import revoke
from troth.authority.settle import issue
from troth.enrollment.requests import approve_request, list_requests
from troth.journal.change import change
from troth.keys.file import generate, render_key
from troth.registry.foreign_issuers import ForeignPurpose
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority, new_request
from troth.x509.algorithms import KeyAlgorithm

pytestmark = pytest.mark.needs("curl")


@dataclass(frozen=True)
class Message:
    """A request as it was sent, and by whose connection."""

    path: str
    body: bytes
    user: str | None = None
    bearer: Bearer | Held | None = None


@dataclass(frozen=True)
class Case:
    """How a message of some kind comes about, and what the words alone bring back."""

    make: Callable[[TestAuthority, Path], Message]
    again: int


def send(doors: RunningDoors, message: Message, bearer: Bearer | Held | None) -> Answer:
    words = ["--header", "Content-Type: application/pkcs10"]
    if message.user is not None:
        words += ["--user", message.user]
    if bearer is not None:
        words += ["--cert", str(bearer.chain_file), "--key", str(bearer.key_file)]
    url = f"https://localhost:{doors.https}/.well-known/est/{message.path}"
    return curl(url, *words, root=doors.site.root_file, data=message.body)


def _head(proofs: str) -> str:
    return f'name = "way"\nprofile = "device"\nproofs = ["{proofs}"]\n'


def by_token(site: TestAuthority, folder: Path) -> Message:
    return Message("simpleenroll", a_request("lamp-1"), f"lamp-1:{new_token(site)}")


def for_a_key(site: TestAuthority, folder: Path) -> Message:
    enrollment(site, _head("token") + 'server_keys = "any"\n')
    return Message("way/serverkeygen", a_request("lamp-1"), f"lamp-1:{new_token(site)}")


def _foreign(site: TestAuthority, folder: Path, purpose: ForeignPurpose, proofs: str) -> Message:
    maker = Maker.new(folder, site.clock.now())
    register(site, maker, "acme", purpose)
    enrollment(site, _head(proofs) + '[thing]\nname = "{cn}"\ncreate = true\n')
    return Message("way/simpleenroll", a_request("lamp-1"), bearer=maker.device("A1", common_name="lamp-1"))


def by_idevid(site: TestAuthority, folder: Path) -> Message:
    return _foreign(site, folder, ForeignPurpose.MANUFACTURER, "idevid")


def by_customer_ca(site: TestAuthority, folder: Path) -> Message:
    return _foreign(site, folder, ForeignPurpose.CUSTOMER, "customer-ca")


def by_claim(site: TestAuthority, folder: Path) -> Message:
    enrollment(site, _head("claim") + '[thing]\nname = "{request}"\ncreate = true\n')
    key, chain_file, key_file = generate(KeyAlgorithm.P256), folder / "claim.pem", folder / "claim.key"
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
    chain_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(render_key(key, None))
    claim = Held(certificate, (certificate,), key, chain_file, key_file)
    return Message("way/simpleenroll", a_request("lamp-1"), bearer=claim)


def by_certificate(site: TestAuthority, folder: Path) -> Message:
    enrollment(site, _head("certificate"))
    return Message("way/simpleenroll", a_request("lamp-1"), bearer=site.device("lamp-1"))


def by_approval(site: TestAuthority, folder: Path) -> Message:
    enrollment(site, _head("approval") + '[thing]\nname = "{request}"\ncreate = true\n')
    return Message("way/simpleenroll", a_request("lamp-1"))


def of_renewal(site: TestAuthority, folder: Path) -> Message:
    return Message("simplereenroll", a_request("lamp-1"), bearer=site.device("lamp-1"))


CASES: dict[str, Case] = {
    # The answer is the certificate that everybody sees in a handshake: it is given again, and no other.
    "simpleenroll, token": Case(by_token, 200),
    "simpleenroll, approval": Case(by_approval, 200),
    # A private key is in the answer: it is given once.
    "serverkeygen, token": Case(for_a_key, 401),
    "simpleenroll, idevid": Case(by_idevid, 401),
    "simpleenroll, customer-ca": Case(by_customer_ca, 401),
    "simpleenroll, claim": Case(by_claim, 401),
    "simpleenroll, certificate": Case(by_certificate, 401),
    "simplereenroll": Case(of_renewal, 403),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_replay_gains_nothing(live_authority: TestAuthority, tmp_path: Path, kind: str) -> None:
    site, case = live_authority, CASES[kind]
    message, thief = case.make(site, tmp_path), site.device("thief")
    doors = RunningDoors(site, tmp_path / "bell-2")
    try:
        first = send(doors, message, message.bearer)
        if first.status == 202:
            # While nobody has decided, a replay waits with it, and files nothing.
            assert send(doors, message, None).status == 202
            with read(site.db) as connection:
                (waits,) = list_requests(connection)
            with change(site.db, site.clock, OPERATOR) as changing:
                approve_request(changing, waits.request_id)
            first = send(doors, message, message.bearer)
        assert first.status == 200
        told = len(entries(site.db, "certificate.intended")), len(entries(site.db, "request.filed"))
        for bearer in (None, thief):
            again = send(doors, message, bearer)
            if bearer is None:
                assert again.status == case.again
            assert again.status != 200 or again.body == first.body
        # Nor do the words that prove go with another's key.
        other = Message(message.path, a_request("lamp-1"), message.user)
        assert send(doors, other, None).status in {202, 401, 403}
        now = len(entries(site.db, "certificate.intended")), len(entries(site.db, "request.filed"))
        assert now[0] == told[0]
        assert now[1] == told[1] + (kind == "simpleenroll, approval")
        # Who was robbed goes on as before.
        if case.again != 200 and message.bearer is not None:
            assert send(doors, message, message.bearer).body == first.body
    finally:
        doors.close()


def test_a_replay_after_a_revocation_brings_nothing_back(live_authority: TestAuthority, doors: RunningDoors) -> None:
    site = live_authority
    message = by_token(site, site.folder)
    assert send(doors, message, None).status == 200
    (intended,) = [each for each in entries(site.db, "certificate.issued") if each.data["thing"] == "lamp-1"]
    with change(site.db, site.clock, OPERATOR) as changing:
        revoke(changing, intended.subject)
    before = len(entries(site.db, "certificate.intended"))
    send(doors, message, None)
    assert len(entries(site.db, "certificate.intended")) == before
