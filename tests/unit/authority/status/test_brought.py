"""The CRL of a root whose key is on another machine: taken on that key's word alone, whole, newer and in force."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs
from tests.fixtures.issuance import entries

from troth.app.duties import duties
from troth.app.profiles import built_in_profiles
from troth.authority.adopt import adopt_answer, request_issuer
from troth.authority.ceremony import Ceremony
from troth.authority.hierarchy import apply_profiles
from troth.authority.revoke import revoke_issuer
from troth.authority.roots import register_root
from troth.authority.status.attention import list_concerns
from troth.authority.status.brought import bring_crl, list_withdrawn, request_crl
from troth.authority.status.elsewhere import NUMBER_MAX, make_crl
from troth.authority.status.publish import CRL_PUBLISHED, CRLDoor
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl, last_number
from troth.authority.subordinate import sign_request
from troth.cli.crl_carry import read_crl
from troth.errors import Fault, Kind, PeerFault
from troth.gateway.http.crl import Conditions, CRLs, parse_path
from troth.journal.change import change
from troth.keys.file import generate
from troth.limits import FOREIGN_CRL_BYTES_MAX
from troth.registry.issuers import Issuer, get_issuer_named
from troth.store import migrate
from troth.store.connect import connect
from troth.store.read import read
from troth.testing.authority import ACTOR, MemoryCabinet, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import Reason, parse_crl
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

pytestmark = pytest.mark.slow

Publish = Callable[[], x509.CertificateRevocationList]


@pytest.fixture
def site(tmp_path: Path, clock: FakeClock, authority: TestAuthority) -> Iterator[Ceremony]:
    """A home that knows the root's certificate and not its key, which `authority` has."""
    db = connect("sqlite:///site.db", tmp_path)
    migrate.upgrade(db)
    ceremony = Ceremony(db, clock, authority.public_url, MemoryCabinet(), ACTOR)
    apply_profiles(db, clock, tuple(built_in_profiles().values()), ACTOR)
    register_root(ceremony, authority.root)
    yield ceremony
    db.dispose()


@pytest.fixture
def publish(authority: TestAuthority, door: CRLDoor) -> Publish:
    """Make the root's CRL anew where its key is."""

    def now() -> x509.CertificateRevocationList:
        made = door.publish(authority.db, authority.clock, ACTOR, authority.hierarchy.root, (None,))
        return parse_crl(made[0].der)

    return now


def brought(site: Ceremony, crl: x509.CertificateRevocationList) -> StoredCRL:
    with change(site.db, site.clock, ACTOR) as changing:
        return bring_crl(changing, crl)[1]


def refused(site: Ceremony, crl: x509.CertificateRevocationList) -> Kind:
    with pytest.raises(Fault) as caught:
        brought(site, crl)
    return caught.value.kind


def in_force(site: Ceremony, issuer_id: str) -> StoredCRL | None:
    with read(site.db) as connection:
        return find_crl(connection, Scope(issuer_id, None), CRLKind.COMPLETE)


def test_it_is_in_force_and_on_record_once(
    site: Ceremony, publish: Publish, authority: TestAuthority, clock: FakeClock
) -> None:
    crl = publish()
    stored = brought(site, crl)
    assert brought(site, crl) == stored == in_force(site, authority.hierarchy.root.issuer_id)
    (entry,) = entries(site.db, CRL_PUBLISHED)
    assert (entry.subject, entry.data["crls"][0]["sha256"]) == (authority.hierarchy.root.issuer_id, stored.sha256)
    clock.advance(timedelta(days=1))
    later = brought(site, publish())
    assert later.number == stored.number + 1
    assert in_force(site, authority.hierarchy.root.issuer_id) == later
    with read(site.db) as connection:
        assert last_number(connection, later.scope) == later.number
    # The one before may have been less strict.
    assert refused(site, crl) is Kind.CONFLICT
    assert in_force(site, authority.hierarchy.root.issuer_id) == later


def test_it_is_taken_in_its_time_alone(site: Ceremony, publish: Publish, clock: FakeClock) -> None:
    crl = publish()
    clock.advance(timedelta(days=366))
    assert refused(site, crl) is Kind.EXPIRED
    clock.advance(timedelta(days=-367))
    assert refused(site, crl) is Kind.EXPIRED
    clock.advance(timedelta(days=1))
    assert brought(site, crl).entries == 0


def test_nobody_else_signs_it(site: Ceremony, publish: Publish, authority: TestAuthority) -> None:
    root = authority.hierarchy.root.certificate
    begin, end = authority.clock.now() - timedelta(hours=1), authority.clock.now() + timedelta(days=9)
    forged = x509.CertificateRevocationListBuilder().issuer_name(root.subject).last_update(begin).next_update(end)
    forged = forged.add_extension(x509.CRLNumber(7), critical=False)
    stranger = generate(KeyAlgorithm.P256).private_key
    assert refused(site, forged.sign(stranger, hashes.SHA256())) is Kind.REJECTED
    # The same from the root's own key is taken: it was the signature.
    key = authority.cabinet.open(authority.hierarchy.root.key_name).private_key
    assert brought(site, forged.sign(key, hashes.SHA256())).number == 7


def test_a_part_and_a_delta_are_not_taken_for_the_whole(site: Ceremony, authority: TestAuthority) -> None:
    root = authority.hierarchy.root
    key = authority.cabinet.open(root.key_name).private_key
    begin, end = authority.clock.now() - timedelta(hours=1), authority.clock.now() + timedelta(days=9)
    bare = x509.CertificateRevocationListBuilder().issuer_name(root.certificate.subject)
    bare = bare.last_update(begin).next_update(end)
    numbered = bare.add_extension(x509.CRLNumber(7), critical=False)
    part = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    for each in (
        bare,
        numbered.add_extension(x509.DeltaCRLIndicator(3), critical=True),
        numbered.add_extension(part, critical=True),
        # Not as the standard has it, and a part all the same.
        numbered.add_extension(part, critical=False),
    ):
        assert refused(site, each.sign(key, hashes.SHA256())) is Kind.REJECTED


def test_an_issuing_ca_whose_key_is_here_signs_its_own(
    authority: TestAuthority, devices: Issuer, door: CRLDoor
) -> None:
    made = door.publish(authority.db, authority.clock, ACTOR, devices, (None,))[0]
    with pytest.raises(Fault) as caught, change(authority.db, authority.clock, ACTOR) as changing:
        bring_crl(changing, parse_crl(made.der))
    assert caught.value.kind is Kind.CONFLICT


def test_a_root_whose_key_lies_in_a_safe_counts_on(authority: TestAuthority, publish: Publish) -> None:
    root, key = authority.hierarchy.root, authority.cabinet.open(authority.hierarchy.root.key_name)
    publish()
    with read(authority.db) as connection:
        asked = request_crl(connection, root)
    made = make_crl(root.certificate, key, asked, None, now=authority.clock.now(), valid=timedelta(days=90))
    with change(authority.db, authority.clock, ACTOR) as changing:
        assert bring_crl(changing, parse_crl(made.der))[1].number == 2
    later = publish()
    assert later.extensions.get_extension_for_class(x509.CRLNumber).value == x509.CRLNumber(3)


@pytest.fixture
def adopted(site: Ceremony, authority: TestAuthority) -> Issuer:
    """A CA of the site that the root has certified."""
    asked = request_issuer(site, site="home.example", purpose=Purpose.DEVICES, line="more")
    vault = Ceremony(authority.db, authority.clock, authority.public_url, authority.cabinet, ACTOR)
    request = parse_request(asked.request)
    made, _ = sign_request(vault, request, site="home.example", purpose=Purpose.DEVICES, line="more", names=())
    return adopt_answer(site, [made.certificate, authority.root])


def test_what_it_revokes_here_is_named(
    site: Ceremony, publish: Publish, authority: TestAuthority, adopted: Issuer
) -> None:
    before = publish()
    with change(authority.db, authority.clock, ACTOR) as changing:
        revoke_issuer(changing, get_issuer_named(changing.connection, adopted.name))
    after = publish()
    with change(site.db, site.clock, ACTOR) as changing:
        assert list_withdrawn(changing.connection, authority.hierarchy.root, before) == []
        issuer, _ = bring_crl(changing, after)
        assert list_withdrawn(changing.connection, issuer, after) == [adopted]


def own_crl(authority: TestAuthority, builder: x509.CertificateRevocationListBuilder) -> x509.CertificateRevocationList:
    return builder.sign(authority.cabinet.open(authority.hierarchy.root.key_name).private_key, hashes.SHA256())


def numbered(authority: TestAuthority, number: int, age: timedelta) -> x509.CertificateRevocationListBuilder:
    begin = authority.clock.now() - age
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.root.subject).last_update(begin)
    return builder.next_update(begin + timedelta(days=90)).add_extension(x509.CRLNumber(number), critical=False)


def test_what_has_been_revoked_here_must_be_on_it(
    site: Ceremony, publish: Publish, authority: TestAuthority, adopted: Issuer
) -> None:
    crl = publish()
    brought(site, crl)
    with change(site.db, site.clock, ACTOR) as changing:
        revoke_issuer(changing, adopted, Reason.KEY_COMPROMISE)
    with read(site.db) as connection:
        root = get_issuer_named(connection, "root-1")
        asked = request_crl(connection, root)
        (concern,) = list_concerns(connection, site.clock.now())
    assert "does not say yet that more-1 is revoked: troth crl request --ca root-1" in concern
    # Neither a new one, nor again the one in force.
    for silent in (crl, publish()):
        with pytest.raises(Fault) as caught:
            brought(site, silent)
        assert caught.value.kind is Kind.REJECTED
        (missing,) = caught.value.parts
        assert missing.message.startswith(f"more-1: serial {adopted.certificate.serial_number:x}, keyCompromise, since")
    key = authority.cabinet.open(authority.hierarchy.root.key_name)
    made = make_crl(authority.root, key, asked, crl, now=authority.clock.now(), valid=timedelta(days=90))
    assert brought(site, parse_crl(made.der)).entries == 1
    with read(site.db) as connection:
        assert list_concerns(connection, site.clock.now()) == []


def test_what_a_root_wants_is_told_ahead_and_gates_nothing(
    site: Ceremony, authority: TestAuthority, adopted: Issuer, clock: FakeClock
) -> None:
    def concern() -> str:
        with read(site.db) as connection:
            assert get_issuer_named(connection, adopted.name).is_trusted
            return " ".join(list_concerns(connection, clock.now()))

    assert concern().startswith("no CRL of root-1 has been published, and certificates name it")
    brought(site, own_crl(authority, numbered(authority, 1, timedelta())))
    assert concern() == ""
    clock.advance(timedelta(days=46))
    assert concern().startswith("the CRL of root-1 expires on ")
    clock.advance(timedelta(days=45))
    assert concern().startswith("the CRL of root-1 expired on ")
    watch = next(duty for duty in duties(CRLDoor({}, ""), timedelta(1)) if duty.name == "watch-root-crls")
    with capture_logs() as logged:
        watch.do(site.db, clock)
    assert [(line["event"], line["reason"]) for line in logged] == [("crl.wanted", concern())]


def test_it_is_served_where_certificates_say(site: Ceremony, publish: Publish, adopted: Issuer) -> None:
    (point,) = adopted.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None
    path = "/" + point.full_name[0].value.split("/", 3)[3]
    key = parse_path(path, {adopted.parent_id or "": 1})
    assert key is not None
    stored = brought(site, publish())
    door = CRLs(site.db, site.clock)
    response = asyncio.run(door.answer(key, Conditions()))
    assert (response.status_code, response.body) == (200, stored.der)
    assert response.headers["cache-control"] == "public, max-age=3600"
    again = asyncio.run(door.answer(key, Conditions(none_match=response.headers["etag"])))
    assert again.status_code == 304


def test_no_byte_of_it_may_change(site: Ceremony, publish: Publish) -> None:
    crl = publish()
    while crl.signature[-1] & 1:
        # An even one could also be read as a signature whose last bit is not used.
        crl = publish()
    der = crl.public_bytes(Encoding.DER)
    with change(site.db, site.clock, ACTOR) as changing:
        for at in range(len(der)):
            for wrong in (der[:at], der[:at] + bytes((der[at] ^ 0x01,)) + der[at + 1 :]):
                with pytest.raises(Fault) as caught:
                    bring_crl(changing, parse_crl(wrong))
                is_read = caught.value.kind is not Kind.MALFORMED
                assert caught.value.kind is Kind.REJECTED if is_read else isinstance(caught.value, PeerFault)
    assert in_force(site, brought(site, crl).scope.issuer_id) is not None


def test_neither_holds_nor_others_certificates_nor_later_times_nor_great_numbers(
    site: Ceremony, authority: TestAuthority
) -> None:
    brought(site, own_crl(authority, numbered(authority, 1, timedelta(hours=1))))
    entry = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(authority.clock.now())
    held = entry.add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False).build()
    owner = x509.CertificateIssuer([x509.DirectoryName(authority.root.subject)])
    others = entry.add_extension(owner, critical=True).build()
    now = numbered(authority, 2, timedelta())
    for crl, kind in [
        (now.add_revoked_certificate(held), Kind.MALFORMED),
        (now.add_revoked_certificate(others), Kind.MALFORMED),
        (numbered(authority, 2, timedelta(hours=2)), Kind.CONFLICT),
        (numbered(authority, 2, timedelta(hours=-1)), Kind.EXPIRED),
        (numbered(authority, NUMBER_MAX + 1, timedelta()), Kind.UNSUPPORTED),
    ]:
        assert refused(site, own_crl(authority, crl)) is kind
    assert brought(site, own_crl(authority, now.add_revoked_certificate(entry.build()))).entries == 1


def test_cut_off_it_has_changed_nothing(site: Ceremony, publish: Publish, authority: TestAuthority) -> None:
    crl = publish()
    with pytest.raises(KeyboardInterrupt), change(site.db, site.clock, ACTOR) as changing:
        bring_crl(changing, crl)
        raise KeyboardInterrupt
    root_id = authority.hierarchy.root.issuer_id
    assert in_force(site, root_id) is None
    assert entries(site.db, CRL_PUBLISHED) == []
    with read(site.db) as connection:
        assert last_number(connection, Scope(root_id, None)) == 0
    assert brought(site, crl).number == 1


def test_too_long_a_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "long.crl"
    with file.open("wb") as stream:
        stream.truncate(FOREIGN_CRL_BYTES_MAX + 1)
    with pytest.raises(Fault) as caught:
        read_crl(file)
    assert caught.value.kind is Kind.TOO_LARGE
