"""The CRL of a root whose key is on another machine: taken on that key's word alone, whole, newer and in force."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from tests.fixtures.issuance import entries

from troth.app.profiles import built_in_profiles
from troth.authority.adopt import adopt_answer, request_issuer
from troth.authority.ceremony import Ceremony
from troth.authority.hierarchy import apply_profiles
from troth.authority.revoke import revoke_issuer
from troth.authority.roots import register_root
from troth.authority.status.brought import bring_crl, list_withdrawn
from troth.authority.status.publish import CRL_PUBLISHED, CRLDoor
from troth.authority.status.stored import CRLKind, Scope, StoredCRL, find_crl, last_number
from troth.authority.subordinate import sign_request
from troth.errors import Fault, Kind
from troth.journal.change import change
from troth.keys.file import generate
from troth.store import migrate
from troth.store.connect import connect
from troth.store.read import read
from troth.testing.authority import ACTOR, MemoryCabinet, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import parse_crl
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


def test_a_ca_whose_key_is_here_signs_its_own(authority: TestAuthority, publish: Publish) -> None:
    crl = publish()
    with pytest.raises(Fault) as caught, change(authority.db, authority.clock, ACTOR) as changing:
        bring_crl(changing, crl)
    assert caught.value.kind is Kind.CONFLICT


def test_what_it_revokes_here_is_named(site: Ceremony, publish: Publish, authority: TestAuthority) -> None:
    asked = request_issuer(site, site="home.example", purpose=Purpose.DEVICES, line="more")
    vault = Ceremony(authority.db, authority.clock, authority.public_url, authority.cabinet, ACTOR)
    request = parse_request(asked.request)
    made, _ = sign_request(vault, request, site="home.example", purpose=Purpose.DEVICES, line="more", names=())
    adopted = adopt_answer(site, [made.certificate, authority.root])
    before = publish()
    with change(authority.db, authority.clock, ACTOR) as changing:
        revoke_issuer(changing, made)
    after = publish()
    with change(site.db, site.clock, ACTOR) as changing:
        assert list_withdrawn(changing.connection, authority.hierarchy.root, before) == []
        issuer, _ = bring_crl(changing, after)
        assert list_withdrawn(changing.connection, issuer, after) == [adopted]
