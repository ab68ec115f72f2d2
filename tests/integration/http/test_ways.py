"""Claim certificates, a person's approval, and proofs that must hold together, through the HTTPS door."""

import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs
from tests.fixtures.doors import Answer, RunningDoors
from tests.fixtures.enrolling import new_token
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.strangers import DAY, OPERATOR, Bearer, Key, Maker, a_request, come, enrollment, register

from troth.authority.settle import issue
from troth.enrollment.requests import RequestState, WaitingRequest, approve_request, deny_request, list_requests
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.limits import EST_BODY_BYTES_MAX
from troth.registry.states import deactivate, revoke
from troth.registry.things import find_thing
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id
from troth.x509.crl import Reason

pytestmark = pytest.mark.needs("curl")

BULBS = """
name = "bulbs"
profile = "device"
proofs = ["claim"]
[thing]
name = "{request}"
create = true
attributes = { origin = "factory-3" }
allowed = ["bulb-*"]
"""
ASKED = """
name = "asked"
profile = "device"
proofs = ["approval"]
[thing]
name = "{request}"
create = true
[approval]
lifetime = "1d"
retry = "5s"
"""
BOTH = """
name = "both"
profile = "device"
proofs = ["idevid", "approval"]
[thing]
name = "cam-{serial}"
create = true
"""
TRIPLE = """
name = "sure"
profile = "device"
proofs = ["token", "idevid"]
[thing]
name = "cam-{serial}"
"""


def issued(site: TestAuthority) -> int:
    return len([entry for entry in entries(site.db, "certificate.issued") if entry.data["thing"]])


@pytest.fixture
def claim(live_authority: TestAuthority, tmp_path: Path) -> Bearer:
    """A claim certificate that a whole batch of bulbs was made with."""
    site, key = live_authority, generate(KeyAlgorithm.P256)
    enrollment(site, BULBS)
    return Claims(site, tmp_path).make("batch-7", key)


class Claims:
    def __init__(self, site: TestAuthority, folder: Path) -> None:
        self.site = site
        self.maker = Maker.new(folder, site.clock.now())

    def make(self, name: str, key: FileKey, profile: str = "claim") -> Bearer:
        certificate = issue(
            self.site.db,
            self.site.clock,
            self.site.door(),
            OPERATOR,
            profile=profile,
            request=new_request(key, name),
            name=name,
            method="test",
            proof={},
            public_url=self.site.public_url,
        )
        assert isinstance(key.private_key, ec.EllipticCurvePrivateKey)
        return self.maker.bearer(certificate, key.private_key)


def waiting(site: TestAuthority) -> list[WaitingRequest]:
    with read(site.db) as connection:
        return list_requests(connection, state=RequestState.WAITING)


def refusal(logs: Sequence[Mapping[str, object]]) -> str:
    (refused,) = [each for each in logs if each["event"] == "enrollment.refused"]
    return str(refused["reason"])


# Claims.


def test_many_devices_come_with_one_claim(live_authority: TestAuthority, doors: RunningDoors, claim: Bearer) -> None:
    for name in ("bulb-1", "bulb-2"):
        assert come(doors, "bulbs", a_request(name), claim).status == 200
        assert [row.method for row in certificates(live_authority.db, name)] == ["claim"]
    with read(live_authority.db) as connection:
        thing = find_thing(connection, "bulb-1")
    assert thing is not None
    assert thing.attributes == {"origin": "factory-3"}


def test_what_keeps_a_key_is_the_enrollments_word_and_never_the_devices(
    live_authority: TestAuthority, doors: RunningDoors, claim: Bearer
) -> None:
    """What policies read as troth:KeyProtection: there where the operator has said it, and nowhere else."""
    chips = BULBS.replace('name = "bulbs"', 'name = "chips"').replace("[thing]", 'key_protection = "tpm"\n[thing]', 1)
    enrollment(live_authority, chips)
    assert come(doors, "chips", a_request("bulb-1"), claim).status == 200
    assert come(doors, "bulbs", a_request("bulb-2"), claim).status == 200
    kept = [row.key_protection for name in ("bulb-1", "bulb-2") for row in certificates(live_authority.db, name)]
    assert kept == ["tpm", None]


def test_a_claim_takes_no_thing_that_is_somebodys(
    live_authority: TestAuthority, doors: RunningDoors, claim: Bearer
) -> None:
    key = generate(KeyAlgorithm.P256)
    assert come(doors, "bulbs", a_request("bulb-1", key), claim).status == 200
    live_authority.device("bulb-2")
    reasons = {}
    for name in ("bulb-1", "bulb-2", "safe-1", "lamp/../1"):
        with capture_logs() as logs:
            assert come(doors, "bulbs", a_request(name), claim).status == 401
        reasons[name] = refusal(logs)
    assert "is bound to key:" in reasons["bulb-1"]
    assert "enrolled in another way" in reasons["bulb-2"]
    assert "may not come" in reasons["safe-1"]
    assert "names no thing" in reasons["lamp/../1"]
    assert issued(live_authority) == 2
    # Its own device may ask again with the key that it has.
    assert come(doors, "bulbs", a_request("bulb-1", key), claim).status == 200


def test_a_claim_certifies_no_copy_of_itself(live_authority: TestAuthority, doors: RunningDoors, claim: Bearer) -> None:
    assert come(doors, "bulbs", _request_by(claim.key, "bulb-1"), claim).status == 401
    assert issued(live_authority) == 0


@pytest.mark.parametrize("fate", ["revoked", "inactive", "expired", "another profile", "none", "a thing's"])
def test_a_claim_that_is_none_any_more(
    live_authority: TestAuthority, doors: RunningDoors, claim: Bearer, live_clock: FakeClock, fate: str, tmp_path: Path
) -> None:
    site, bearer = live_authority, claim
    identity = certificate_id(claim.certificate)
    if fate == "revoked":
        with change(site.db, site.clock, OPERATOR) as changing:
            revoke(changing, identity, Reason.KEY_COMPROMISE)
    elif fate == "inactive":
        with change(site.db, site.clock, OPERATOR) as changing:
            deactivate(changing, identity)
    elif fate == "expired":
        live_clock.advance(claim.certificate.not_valid_after_utc - live_clock.now() + DAY)
    elif fate == "a thing's":
        held = site.device("lamp-9")
        bearer = Bearer(held.certificate, claim.key, held.chain_file, held.key_file)
    before = issued(site)
    shown = None if fate == "none" else bearer
    if fate == "another profile":
        enrollment(site, BULBS.replace('"bulbs"', '"tubes"').replace("[thing]", '[claim]\nprofile = "device"\n[thing]'))
        assert come(doors, "tubes", a_request("bulb-1"), shown).status == 401
    else:
        assert come(doors, "bulbs", a_request("bulb-1"), shown).status == 401
    assert issued(site) == before


# Approval.


def test_a_person_lets_a_device_in(live_authority: TestAuthority, doors: RunningDoors) -> None:
    enrollment(live_authority, ASKED)
    body = a_request("lamp-5")
    first = come(doors, "asked", body)
    assert (first.status, first.headers["retry-after"], first.body) == (202, "5", b"")
    assert come(doors, "asked", body).status == 202
    (asked,) = waiting(live_authority)
    assert (asked.thing, asked.enrollment) == ("lamp-5", "asked")
    assert issued(live_authority) == 0
    with change(live_authority.db, live_authority.clock, OPERATOR) as changing:
        approve_request(changing, asked.request_id[:6])
    answers = [come(doors, "asked", body) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert issued(live_authority) == 1
    (intended,) = [each for each in entries(live_authority.db, "certificate.intended") if each.data["thing"]]
    assert intended.data["proof"] == {
        "enrollment": "asked",
        "request": asked.request_id,
        "approved_by": OPERATOR,
    }
    # What was approved is this very request.
    assert come(doors, "asked", a_request("lamp-5")).status == 202


def test_what_was_denied_or_came_too_late_gets_nothing(
    live_authority: TestAuthority, doors: RunningDoors, live_clock: FakeClock
) -> None:
    site = live_authority
    enrollment(site, ASKED)
    denied, late, slow = a_request("lamp-1"), a_request("lamp-2"), a_request("lamp-3")
    for body in (denied, late, slow):
        assert come(doors, "asked", body).status == 202
    ids = {each.thing: each.request_id for each in waiting(site)}
    with change(site.db, site.clock, OPERATOR) as changing:
        deny_request(changing, ids["lamp-1"])
        approve_request(changing, ids["lamp-3"])
    with capture_logs() as logs:
        assert come(doors, "asked", denied).status == 401
    assert f"was denied by {OPERATOR}" in refusal(logs)
    live_clock.advance(timedelta(days=1))
    # Nobody decided, or nobody came back, in time: a person is asked anew.
    assert come(doors, "asked", late).status == 202
    assert come(doors, "asked", slow).status == 202
    assert issued(site) == 0
    assert {each.thing for each in waiting(site)} == {"lamp-2", "lamp-3"}


def test_a_maker_and_a_person_are_both_needed(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path
) -> None:
    site, maker = live_authority, Maker.new(tmp_path, live_authority.clock.now())
    register(site, maker)
    enrollment(site, BOTH)
    doors.settle()
    device, body = maker.device("A1"), a_request()
    assert come(doors, "both", body, device).status == 202
    (asked,) = waiting(site)
    assert asked.evidence["issuer"] == "acme"
    with change(site.db, site.clock, OPERATOR) as changing:
        approve_request(changing, asked.request_id)
    # Approved is not proven: without the maker's certificate, or with another's, nothing comes of it.
    assert come(doors, "both", body).status == 401
    assert come(doors, "both", body, maker.device("A2")).status == 202
    assert issued(site) == 0
    assert come(doors, "both", body, device).status == 200
    assert [row.method for row in certificates(site.db, "cam-A1")] == ["idevid+approval"]


def test_a_token_and_a_maker_must_mean_the_same_thing(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path
) -> None:
    site, maker = live_authority, Maker.new(tmp_path, live_authority.clock.now())
    register(site, maker)
    enrollment(site, TRIPLE)
    doors.settle()
    secret, device = new_token(site, "cam-A1"), maker.device("A1")
    user = f"cam-A1:{secret}"
    assert come(doors, "sure", a_request(), device).status == 401
    assert come(doors, "sure", a_request(), None, user).status == 401
    with capture_logs() as logs:
        assert come(doors, "sure", a_request(), maker.device("A2"), user).status == 401
    assert "different things: cam-A1, cam-A2" in refusal(logs)
    assert issued(site) == 0
    assert come(doors, "sure", a_request(), device, user).status == 200
    assert come(doors, "sure", a_request(), device, user).status == 401


# The requests themselves, whatever the proof.


def a_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _request_by(key: Key, common_name: str = "lamp-1", *extensions: x509.ExtensionType) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(a_name(common_name))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return base64.b64encode(builder.sign(key, SHA256()).public_bytes(Encoding.DER))


def _asking(*extensions: x509.ExtensionType) -> Callable[[], bytes]:
    return lambda: _request_by(ec.generate_private_key(ec.SECP256R1()), "lamp-1", *extensions)


def _signed_by_another() -> bytes:
    der = bytearray(base64.b64decode(a_request("lamp-1")))
    der[-2] ^= 1
    return base64.b64encode(bytes(der))


REQUESTS: dict[str, tuple[Callable[[], bytes], int]] = {
    "CA:TRUE": (_asking(x509.BasicConstraints(True, None)), 422),
    "another's DNS name": (_asking(x509.SubjectAlternativeName([x509.DNSName("safe-1")])), 422),
    "a mail address": (_asking(x509.SubjectAlternativeName([x509.RFC822Name("root@home.example")])), 422),
    "a URI": (_asking(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://home/safe")])), 422),
    "another's name": (lambda: a_request("safe-1"), 422),
    "not its own key's": (_signed_by_another, 400),
    "oversized": (lambda: b"A" * (EST_BODY_BYTES_MAX + 1), 413),
    "nothing": (lambda: b"", 400),
}


def _prove(site: TestAuthority, doors: RunningDoors, way: str, folder: Path) -> Callable[[bytes], Answer]:
    """Return how to come with a good proof of lamp-1 in a way."""
    thing = '[thing]\nname = "{request}"\ncreate = true\n'
    head = 'name = "way"\nprofile = "device"\nproofs = '
    match way:
        case "token":
            user = f"lamp-1:{new_token(site)}"
            return lambda body: come(doors, "", body, None, user)
        case "idevid":
            maker = Maker.new(folder, site.clock.now())
            register(site, maker)
            enrollment(site, f'{head}["idevid"]\n{thing.replace("request", "cn")}')
            doors.settle()
            device = maker.device("A1", common_name="lamp-1")
            return lambda body: come(doors, "way", body, device)
        case "claim":
            enrollment(site, f'{head}["claim"]\n{thing}allowed = ["lamp-1"]\n')
            bearer = Claims(site, folder).make("batch", generate(KeyAlgorithm.P256))
            return lambda body: come(doors, "way", body, bearer)
        case "certificate":
            enrollment(site, f'{head}["certificate"]\n')
            held = site.device("lamp-1")
            return lambda body: come(doors, "way", body, held)
        case _:
            enrollment(site, f'{head}["approval"]\n{thing}allowed = ["lamp-1"]\n')
            return lambda body: come(doors, "way", body)


@pytest.mark.parametrize("way", ["token", "idevid", "claim", "certificate", "approval"])
def test_a_good_proof_does_not_make_a_bad_request_good(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path, way: str
) -> None:
    post = _prove(live_authority, doors, way, tmp_path)
    before = issued(live_authority)
    for what, (make, status) in REQUESTS.items():
        said = post(make()).status
        # A name that the enrollment does not take is not proven; one that is not the thing's cannot be had.
        assert said in {status, 401 if what == "another's name" else status}, what
    assert issued(live_authority) == before
    assert not waiting(live_authority)
    assert post(a_request("lamp-1")).status == (202 if way == "approval" else 200)


@pytest.mark.parametrize("way", ["token", "idevid", "claim", "certificate"])
def test_at_the_same_instant_one_certificate_comes_of_it(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path, way: str
) -> None:
    post, body = _prove(live_authority, doors, way, tmp_path), a_request("lamp-1")
    before = issued(live_authority)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(body), range(6)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert issued(live_authority) == before + 1


def test_at_the_same_instant_a_thing_goes_to_one_of_many(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path
) -> None:
    post = _prove(live_authority, doors, "claim", tmp_path)
    bodies = [a_request("lamp-1") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(post, bodies))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401, 401, 401]
    assert issued(live_authority) == 1


def test_a_key_that_was_compromised_is_certified_for_nobody(live_authority: TestAuthority, doors: RunningDoors) -> None:
    site, key = live_authority, generate(KeyAlgorithm.P256)
    held = site.device("lamp-1", key=key)
    site.revoke(held, Reason.KEY_COMPROMISE)
    assert come(doors, "", a_request("lamp-1", key), None, f"lamp-1:{new_token(site)}").status == 422
    other = generate(KeyAlgorithm.P256)
    site.revoke(site.device("lamp-1", key=other), Reason.SUPERSEDED)
    assert come(doors, "", a_request("lamp-1", other), None, f"lamp-1:{new_token(site)}").status == 200


def test_a_thing_gets_so_many_a_day(
    live_authority: TestAuthority, doors: RunningDoors, live_clock: FakeClock, tmp_path: Path
) -> None:
    site, maker = live_authority, Maker.new(tmp_path, live_clock.now())
    register(site, maker)
    enrollment(site, CAMERAS_LIMITED)
    doors.settle()
    first, second, third = (maker.device(serial) for serial in ("A1", "A2", "A3"))
    body = a_request()
    assert come(doors, "few", body, first).status == 200
    assert come(doors, "few", a_request(), first).status == 200
    held_up = come(doors, "few", a_request(), first)
    assert held_up.status == 429
    assert int(held_up.headers["retry-after"]) > 80_000
    # A lost answer is given again, and others are not held up.
    assert come(doors, "few", body, first).status == 200
    assert come(doors, "few", a_request(), second).status == 200
    assert come(doors, "few", a_request(), third).status == 429
    assert issued(site) == 3
    live_clock.advance(DAY + timedelta(seconds=1))
    assert come(doors, "few", a_request(), third).status == 200


CAMERAS_LIMITED = """
name = "few"
profile = "device"
proofs = ["idevid"]
[thing]
name = "cam-{serial}"
create = true
[limits]
per_thing = 2
total = 3
"""
