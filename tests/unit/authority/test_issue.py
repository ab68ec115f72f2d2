from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID
from tests.fixtures.issuance import certificates, entries, intend, reread, tamper

from troth.app.profiles import built_in_profiles
from troth.authority.derive import published_name
from troth.authority.intents import IntentState
from troth.authority.issue import conclude, prepare, refuse
from troth.authority.settle import issue, settle
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.keys.requests import build_request
from troth.registry.attachments import list_things_of
from troth.registry.profiles import apply_profile
from troth.store.read import read
from troth.testing.authority import TestAuthority, new_request
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import Purpose
from troth.x509.requests import Request, parse_request
from troth.x509.serials import make_serial, shard_of


def prepared(authority: TestAuthority, request: Request, **differently: object) -> None:
    with change(authority.db, authority.clock, "device:lamp-1") as changing:
        arguments = {
            "profile": "device",
            "request": request,
            "thing": "lamp-1",
            "method": "token",
            "proof": {},
            "public_url": authority.public_url,
        }
        prepare(changing, **{**arguments, **differently})  # type: ignore[arg-type]


def test_an_intent_is_recorded_with_its_evidence(authority: TestAuthority) -> None:
    intent = intend(authority)
    assert reread(authority.db, intent) == intent
    assert intent.state is IntentState.PREPARED
    assert intent.created_at == authority.clock.now()
    assert intent.not_after - intent.not_before == timedelta(days=90, hours=1)
    (entry,) = [entry for entry in entries(authority.db, "certificate.intended") if entry.subject == intent.intent_id]
    assert entry.actor == "device:lamp-1"
    assert entry.data["thing"] == "lamp-1"
    assert entry.data["proof"] == {"token_id": "t1"}
    assert entry.data["serial"] == f"{intent.serial:x}"
    assert entry.data["request_digest"] == intent.request_digest


def test_the_subject_is_decided_by_us_and_wishes_of_the_request_are_not_heard(authority: TestAuthority) -> None:
    authority.thing("lamp-1")
    key = generate(KeyAlgorithm.P256)
    held = authority.device("lamp-1", key=key)
    request = parse_request(build_request(key, "master-of-the-house", ["evil.example"]))
    with change(authority.db, authority.clock, "device:lamp-1") as changing:
        intent = prepare(
            changing,
            profile="device",
            request=request,
            thing="lamp-1",
            method="token",
            proof={},
            public_url=authority.public_url,
        )
    settle(authority.db, authority.clock, authority.door(), intent.intent_id)
    issued = [row for row in certificates(authority.db, "lamp-1") if row.certificate_id != held.certificate_id]
    certificate = x509.load_der_x509_certificate(issued[0].der)
    assert issued[0].subject == "CN=lamp-1"
    assert ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in {extension.oid for extension in certificate.extensions}


def test_a_certificate_says_where_its_issuers_is(authority: TestAuthority) -> None:
    certificate = authority.device("lamp-1").certificate
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    issuer_id = authority.hierarchy.issuing[Purpose.DEVICES].issuer_id
    assert [(each.access_method, each.access_location.value) for each in access] == [
        (AuthorityInformationAccessOID.OCSP, "http://home.example:8080/ocsp"),
        (AuthorityInformationAccessOID.CA_ISSUERS, f"http://home.example:8080/certs/{published_name(issuer_id)}.cer"),
    ]


def test_a_certificate_names_the_crl_of_its_shard(authority: TestAuthority) -> None:
    issuer = authority.hierarchy.issuing[Purpose.DEVICES]
    assert issuer.shards == 64
    shards = set()
    for number in range(5):
        certificate = authority.device(f"lamp-{number}").certificate
        shard = shard_of(certificate.serial_number)
        shards.add(shard)
        assert _crl_urls(certificate) == [
            f"http://home.example:8080/crl/{published_name(issuer.issuer_id)}/{shard}.crl"
        ]
    assert len(shards) > 1
    assert shards <= set(range(64))


def test_what_foreigners_read_names_the_whole_crl(authority: TestAuthority) -> None:
    server = authority.server("home.example").certificate
    issuer = authority.hierarchy.issuing[Purpose.SERVERS]
    assert _crl_urls(server) == [f"http://home.example:8080/crl/{published_name(issuer.issuer_id)}.crl"]
    assert _crl_urls(issuer.certificate) == [
        f"http://home.example:8080/crl/{published_name(authority.hierarchy.root.issuer_id)}.crl"
    ]


def _crl_urls(certificate: x509.Certificate) -> list[str]:
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [name.value for point in points for name in point.full_name or ()]


def test_an_ocsp_signer_is_certified_by_the_issuer_it_answers_for(authority: TestAuthority) -> None:
    issuer = authority.hierarchy.issuing[Purpose.OPERATORS]
    certificate = issue(
        authority.db,
        authority.clock,
        authority.door(),
        "operator:test",
        profile="ocsp-signer",
        request=new_request(generate(KeyAlgorithm.P256), "OCSP"),
        name="home.example operators OCSP",
        method="test",
        proof={},
        public_url=authority.public_url,
        issuer=issuer,
    )
    certificate.verify_directly_issued_by(issuer.certificate)
    assert x509.OCSPNoCheck.oid in {extension.oid for extension in certificate.extensions}
    assert certificate.not_valid_after_utc - authority.clock.now() <= timedelta(hours=72)
    names = {extension.oid for extension in certificate.extensions}
    assert x509.CRLDistributionPoints.oid not in names


def test_an_intent_for_a_shard_that_the_issuer_has_not_is_refused(authority: TestAuthority) -> None:
    intent = intend(authority)
    tamper(authority.db, intent, serial=f"{make_serial(64, bytes(13)):x}")
    with pytest.raises(Fault) as caught:
        authority.door().sign(authority.db, intent.intent_id, authority.clock.now())
    assert caught.value.kind is Kind.REJECTED
    assert "shard" in caught.value.message


def test_a_key_that_the_profile_does_not_take_is_refused(authority: TestAuthority, clock: FakeClock) -> None:
    with change(authority.db, clock, "operator:test") as changing:
        text = built_in_profiles()["device"].replace('"P-256", "P-384"', '"P-384"')
        apply_profile(changing, text)
    authority.thing("lamp-1")
    with pytest.raises(Fault) as caught:
        prepared(authority, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
    assert caught.value.kind is Kind.BAD_KEY
    assert not [entry for entry in entries(authority.db, "certificate.intended") if entry.data["thing"]]
    prepared(authority, new_request(generate(KeyAlgorithm.P384), "lamp-1"))


def test_a_thing_must_exist(authority: TestAuthority) -> None:
    with pytest.raises(Fault) as caught:
        prepared(authority, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("years", [-30, 30])
def test_with_the_clock_far_off_nothing_is_prepared(authority: TestAuthority, clock: FakeClock, years: int) -> None:
    authority.thing("lamp-1")
    clock.advance(timedelta(days=365 * years))
    with pytest.raises(Fault) as caught:
        prepared(authority, new_request(generate(KeyAlgorithm.P256), "lamp-1"))
    assert caught.value.kind is Kind.EXPIRED


def test_no_certificate_outlives_its_issuer(authority: TestAuthority, clock: FakeClock) -> None:
    issuer = authority.issuer(Purpose.DEVICES)
    clock.set(issuer.not_valid_after_utc - timedelta(days=3))
    assert authority.device("lamp-1").certificate.not_valid_after_utc == issuer.not_valid_after_utc


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "lamp-1"},
        {"thing": None},
        {"profile": "issuing-devices"},
        {"proof": {"name": "x"}},
    ],
)
def test_callers_of_our_own_are_held_to_the_contract(authority: TestAuthority, wrong: dict[str, object]) -> None:
    authority.thing("lamp-1")
    with pytest.raises(Bug):
        prepared(authority, new_request(generate(KeyAlgorithm.P256), "lamp-1"), **wrong)


def test_a_profile_for_servers_certifies_no_thing(authority: TestAuthority) -> None:
    authority.thing("lamp-1")
    with pytest.raises(Fault) as caught:
        prepared(authority, new_request(generate(KeyAlgorithm.P256), "lamp-1"), profile="server")
    assert caught.value.kind is Kind.REJECTED


def test_a_server_without_a_name_to_find_is_refused_by_the_lint(authority: TestAuthority) -> None:
    with pytest.raises(Fault) as caught:
        prepared(
            authority,
            new_request(generate(KeyAlgorithm.P256), "localhost"),
            profile="server",
            thing=None,
            name="localhost",
        )
    assert caught.value.kind is Kind.REJECTED
    assert "RFC" in (caught.value.detail or "")


def test_a_server_is_held_to_the_sites_names(authority: TestAuthority) -> None:
    authority.server("mqtt.home.example", "127.0.0.1")
    with pytest.raises(Fault) as caught:
        authority.server("bank.example")
    assert caught.value.kind is Kind.REJECTED


def test_a_conclusion_registers_attaches_and_records_once(authority: TestAuthority, key: FileKey) -> None:
    intent = intend(authority, key=key)
    certificate = authority.door().sign(authority.db, intent.intent_id, authority.clock.now()).certificate
    with change(authority.db, authority.clock, "system:authority") as changing:
        assert conclude(changing, intent, certificate)
    with change(authority.db, authority.clock, "system:authority") as changing:
        assert not conclude(changing, intent, certificate)
        assert not refuse(changing, intent, Fault(Kind.REJECTED, "too late"))
    (row,) = certificates(authority.db, "lamp-1")
    assert (row.method, row.profile, row.serial) == ("token", "device", f"{intent.serial:x}")
    with read(authority.db) as connection:
        (attachment,) = list_things_of(connection, row.certificate_id)
    assert (attachment.thing, attachment.exclusive) == ("lamp-1", True)
    (entry,) = entries(authority.db, "certificate.issued")
    assert (entry.subject, entry.data["intent"]) == (row.certificate_id, intent.intent_id)
    done = reread(authority.db, intent)
    assert (done.state, done.certificate_id) == (IntentState.ISSUED, row.certificate_id)


def test_a_refusal_is_recorded_with_its_reason(authority: TestAuthority) -> None:
    intent = intend(authority)
    with change(authority.db, authority.clock, "system:authority") as changing:
        assert refuse(changing, intent, Fault(Kind.EXPIRED, "too late: by far", detail="for the log"))
    refused = reread(authority.db, intent)
    assert refused.state is IntentState.REFUSED
    assert (refused.refused().kind, refused.refused().message) == (Kind.EXPIRED, "too late: by far")
    (entry,) = entries(authority.db, "certificate.refused")
    assert entry.data == {
        "intent": intent.intent_id,
        "thing": "lamp-1",
        "issuer_id": intent.issuer_id,
        "fault": "expired",
        "reason": "too late: by far",
    }
    assert certificates(authority.db, "lamp-1") == []


def test_an_intent_that_was_not_refused_has_no_refusal(authority: TestAuthority) -> None:
    with pytest.raises(Bug):
        intend(authority).refused()


@pytest.fixture
def key() -> FileKey:
    return generate(KeyAlgorithm.P256)
