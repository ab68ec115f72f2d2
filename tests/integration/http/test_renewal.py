"""Renewal through the HTTPS door with curl: the connection's certificate is the proof; each impostor beside a twin."""

import base64
import subprocess
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AttributeOID, NameOID
from tests.fixtures.doors import Answer, RunningDoors, curl
from tests.fixtures.issuance import certificates, entries
from tests.fixtures.mqtt import allow, policy

from troth.app.profiles import built_in_profiles
from troth.enrollment.enrollments import create_enrollment
from troth.enrollment.renewal import note_first_use
from troth.journal.change import change
from troth.keys.file import FileKey, generate, render_key
from troth.keys.requests import build_request
from troth.limits import RENEWALS_PER_HOUR_MAX
from troth.policy.attachment import TargetKind
from troth.protocols.renewal_info import parse_renewal_info
from troth.registry.policies import Target, attach_policy, create_policy, list_attached
from troth.registry.profiles import apply_profile
from troth.registry.states import deactivate, hold
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.tls.server import HandshakeFailure
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.certificates import certificate_id

pytestmark = pytest.mark.needs("curl")

PKCS10 = "Content-Type: application/pkcs10"
VALID = timedelta(days=90)
GRACE = timedelta(days=30)
"""Both of the built-in profile."""
JUST_IN = GRACE - timedelta(hours=1)
JUST_OUT = GRACE + timedelta(hours=1)
A_DAY = timedelta(days=1)
TWO_DAYS = timedelta(days=2)
SPANS = (A_DAY, TWO_DAYS, JUST_IN, JUST_OUT)


def a_request(thing: str = "lamp-1", key: FileKey | None = None) -> bytes:
    return base64.b64encode(build_request(key or generate(KeyAlgorithm.P256), thing))


def ask(doors: RunningDoors, held: Held | None, body: bytes, operation: str = "simplereenroll") -> Answer:
    own = ("--cert", str(held.chain_file), "--key", str(held.key_file)) if held else ()
    url = f"https://localhost:{doors.https}/.well-known/est/{operation}"
    return curl(url, "--header", PKCS10, *own, root=doors.site.root_file, data=body)


def the_certificate(answer: Answer) -> x509.Certificate:
    assert answer.status == 200, answer
    (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.body))
    return certificate


def kept(site: TestAuthority, certificate: x509.Certificate, key: FileKey) -> Held:
    """Return a certificate with its key, in files."""
    chain_file, key_file = (site.folder / f"{certificate_id(certificate)[:8]}.{each}" for each in ("pem", "key"))
    chain_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(render_key(key, None))
    return Held(certificate, (certificate,), key, chain_file, key_file)


@pytest.fixture
def old(live_authority: TestAuthority) -> Callable[[timedelta], Held]:
    """Finds a certificate of lamp-1 that ended so long ago. They are made before the doors, which settle what waits."""
    now = live_authority.clock.now()
    made = {span: live_authority.device("lamp-1", at=now - VALID - span) for span in SPANS}
    return made.__getitem__


def states(site: TestAuthority, thing: str = "lamp-1") -> dict[str, str]:
    return {row.certificate_id: row.state.value for row in certificates(site.db, thing)}


@pytest.mark.parametrize("same_key", [False, True], ids=["re-key", "same key"])
def test_who_shows_a_certificate_gets_the_next(doors: RunningDoors, same_key: bool) -> None:
    site = doors.site
    held = site.device("lamp-1")
    key = held.key if same_key else generate(KeyAlgorithm.P256)
    body = a_request(key=key)
    answer = ask(doors, held, body)
    certificate = the_certificate(answer)
    assert certificate.public_key() == key.public_key
    assert certificate.subject == held.certificate.subject
    assert ask(doors, held, body).body == answer.body
    assert states(site) == {held.certificate_id: "ACTIVE", certificate_id(certificate): "ACTIVE"}
    intended = entries(site.db, "certificate.intended")[-1]
    assert intended.data["method"] == "certificate"
    assert intended.data["proof"] == {"certificate_id": held.certificate_id}


def test_the_first_use_of_the_new_one_supersedes_the_old(doors: RunningDoors) -> None:
    site = doors.site
    held = site.device("lamp-1")
    renewed = certificate_id(the_certificate(ask(doors, held, a_request())))
    assert not note_first_use(site.db, site.clock, held.certificate_id)
    assert note_first_use(site.db, site.clock, renewed)
    assert states(site) == {held.certificate_id: "INACTIVE", renewed: "ACTIVE"}
    assert not note_first_use(site.db, site.clock, renewed)
    (told,) = entries(site.db, "certificate.superseded")
    assert (told.subject, told.data["by"], told.data["reason"]) == (held.certificate_id, renewed, "superseded")
    assert ask(doors, held, a_request()).status == 401


def test_another_request_takes_the_place_of_one_that_was_never_used(doors: RunningDoors) -> None:
    site = doors.site
    held = site.device("lamp-1")
    first, second = (certificate_id(the_certificate(ask(doors, held, a_request()))) for _ in range(2))
    assert states(site) == {held.certificate_id: "ACTIVE", first: "INACTIVE", second: "ACTIVE"}
    assert [entry.data["outcome"] for entry in entries(site.db, "renewal.ended")] == ["REPLACED"]


def test_renewing_with_a_renewed_one_is_its_first_use(doors: RunningDoors) -> None:
    site = doors.site
    held = site.device("lamp-1")
    key = generate(KeyAlgorithm.P256)
    second = kept(site, the_certificate(ask(doors, held, a_request(key=key))), key)
    third = certificate_id(the_certificate(ask(doors, second, a_request())))
    assert states(site) == {held.certificate_id: "INACTIVE", second.certificate_id: "ACTIVE", third: "ACTIVE"}


def test_policies_of_the_certificate_itself_go_over_to_the_next(doors: RunningDoors) -> None:
    site = doors.site
    held, twin = site.device("lamp-1"), site.device("lamp-2")
    with change(site.db, site.clock, "operator:anna") as changing:
        for name in ("one", "two"):
            create_policy(changing, name, policy(allow("iot:Connect", "client/lamp-1")))
            attach_policy(changing, name, certificate_id=held.certificate_id)
    body = a_request()
    renewed = certificate_id(the_certificate(ask(doors, held, body)))
    of_twin = certificate_id(the_certificate(ask(doors, twin, a_request("lamp-2"))))
    with read(site.db) as connection:
        assert list_attached(connection, Target(TargetKind.CERTIFICATE, renewed)) == ["one", "two"]
        assert list_attached(connection, Target(TargetKind.CERTIFICATE, of_twin)) == []
    told = len(entries(site.db, "policy.attached"))
    assert ask(doors, held, body).status == 200
    assert len(entries(site.db, "policy.attached")) == told


def test_without_a_certificate_nothing_is_renewed(doors: RunningDoors) -> None:
    doors.site.thing("lamp-1")
    assert ask(doors, None, a_request()).status == 403
    assert states(doors.site) == {}


def with_attribute(key: FileKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("lamp-1"))
    csr = builder.add_attribute(x509.ObjectIdentifier("1.3.6.1.5.5.7.7.36"), b"\x30\x00").sign(
        key.private_key, SHA256()
    )
    return base64.b64encode(csr.public_bytes(Encoding.DER))


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def unnamed(key: FileKey) -> bytes:
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key.private_key, SHA256())
    return base64.b64encode(csr.public_bytes(Encoding.DER))


def with_more_names(key: FileKey) -> bytes:
    return base64.b64encode(build_request(key, "lamp-1", ["elsewhere.example"]))


@pytest.mark.parametrize("make", [unnamed, with_more_names, with_attribute, lambda key: a_request("safe-1", key)])
def test_names_stay_as_they_are(doors: RunningDoors, make: Callable[[FileKey], bytes]) -> None:
    held = doors.site.device("lamp-1")
    key = generate(KeyAlgorithm.P256)
    assert ask(doors, held, make(key)).status == 422
    assert ask(doors, held, a_request(key=key)).status == 200


def test_what_is_not_in_force_renews_nothing(doors: RunningDoors) -> None:
    site = doors.site
    revoked, inactive, held_back, good = (site.device("lamp-1") for _ in range(4))
    site.revoke(revoked)
    with change(site.db, site.clock, "operator:anna") as changing:
        deactivate(changing, inactive.certificate_id)
        hold(changing, held_back.certificate_id)
    answers = [ask(doors, each, a_request()) for each in (revoked, inactive, held_back)]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    assert ask(doors, good, a_request()).status == 200


Old = Callable[[timedelta], Held]


def test_one_that_ended_within_its_grace_is_renewed(old: Old, doors: RunningDoors) -> None:
    site = doors.site
    certificate = the_certificate(ask(doors, old(JUST_IN), a_request()))
    assert certificate.not_valid_after_utc > site.clock.now()
    proof = entries(site.db, "certificate.intended")[-1].data["proof"]
    assert proof["certificate_id"] == old(JUST_IN).certificate_id
    assert abs(JUST_IN.total_seconds() - proof["expired_for_s"]) < 60


def test_one_that_ended_longer_ago_is_not_let_in(old: Old, doors: RunningDoors) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        ask(doors, old(JUST_OUT), a_request())
    assert doors.observer.failures == [HandshakeFailure.CERTIFICATE_EXPIRED]
    assert len(states(doors.site)) == len(SPANS)


def test_a_grace_counts_by_the_profile_of_the_certificate(old: Old, doors: RunningDoors) -> None:
    """The handshake goes by the longest grace of any profile, the enrollment by the certificate's own."""
    site = doors.site
    text = built_in_profiles()["device"]
    with change(site.db, site.clock, "operator:anna") as changing:
        apply_profile(changing, text.replace('name = "device"', 'name = "other"'))
        apply_profile(changing, text.replace('grace = "30d"', 'grace = "1h"'))
    assert ask(doors, old(A_DAY), a_request()).status == 401
    with change(site.db, site.clock, "operator:anna") as changing:
        apply_profile(changing, text)
    assert ask(doors, old(A_DAY), a_request()).status == 200


def test_an_expired_one_that_was_revoked_renews_nothing(old: Old, doors: RunningDoors) -> None:
    doors.site.revoke(old(A_DAY))
    assert ask(doors, old(A_DAY), a_request()).status == 401
    assert ask(doors, old(TWO_DAYS), a_request()).status == 200


def test_an_expired_one_is_good_for_renewal_alone(old: Old, doors: RunningDoors) -> None:
    good = doors.site.device("lamp-1")
    for operation in ("simpleenroll", "serverkeygen", "fullcmc"):
        assert ask(doors, old(A_DAY), a_request(), operation).status == 403, operation
    assert ask(doors, good, a_request(), "simpleenroll").status == 401
    assert ask(doors, old(A_DAY), a_request()).status == 200


def test_renewals_of_one_thing_are_bounded(doors: RunningDoors, live_clock: FakeClock) -> None:
    held = doors.site.device("lamp-1")
    body = b""
    for _ in range(RENEWALS_PER_HOUR_MAX):
        body = a_request()
        assert ask(doors, held, body).status == 200
    refused = ask(doors, held, a_request())
    assert refused.status == 429
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    # What was answered is answered again, and another thing is not held up.
    assert ask(doors, held, body).status == 200
    assert ask(doors, doors.site.device("lamp-2"), a_request("lamp-2")).status == 200
    live_clock.advance(timedelta(hours=1))
    assert ask(doors, held, a_request()).status == 200


def test_a_request_for_another_connection_is_refused(doors: RunningDoors) -> None:
    held = doors.site.device("lamp-1")
    key = generate(KeyAlgorithm.P256)
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("lamp-1"))
    linked = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, base64.b64encode(bytes(32)))
    csr = linked.sign(key.private_key, SHA256()).public_bytes(Encoding.DER)
    assert ask(doors, held, base64.b64encode(csr)).status == 401
    assert ask(doors, held, a_request(key=key)).status == 200


def test_renewal_times_are_told_over_the_door(old: Old, doors: RunningDoors) -> None:
    good = doors.site.device("lamp-2")
    url = f"https://localhost:{doors.https}/.well-known/est/renewal-info"

    def told(*words: str) -> Answer:
        return curl(url, *words, root=doors.site.root_file)

    answer = told("--cert", str(good.chain_file), "--key", str(good.key_file))
    assert (answer.status, answer.headers["content-type"], answer.headers["retry-after"]) == (
        200, "application/json", "21600",
    )  # fmt: skip
    assert parse_renewal_info(answer.body).end < good.certificate.not_valid_after_utc
    late = told("--cert", str(old(A_DAY).chain_file), "--key", str(old(A_DAY).key_file))
    assert parse_renewal_info(late.body).end < doors.site.clock.now()
    assert told().status == 403
    assert told("--request", "POST").status == 405


def test_the_label_of_a_renewal_is_that_of_an_enrollment(doors: RunningDoors) -> None:
    site = doors.site
    with change(site.db, site.clock, "operator:anna") as changing:
        for name, more in (("bound", "linked = true"), ("closed", "enabled = false")):
            create_enrollment(changing, f'name = "{name}"\nprofile = "device"\nproofs = ["token"]\n{more}\n')
    held = site.device("lamp-1")
    assert ask(doors, held, a_request(), "nowhere/simplereenroll").status == 404
    # Its requests must be made for their connection, and this one is for none.
    assert ask(doors, held, a_request(), "bound/simplereenroll").status == 401
    assert len(states(site)) == 1
    # Closed to newcomers, it lets nobody down who has come before.
    assert ask(doors, held, a_request(), "closed/simplereenroll").status == 200
