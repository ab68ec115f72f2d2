"""What other people's readers make of our CRLs, good and bad; where they differ, how, and that we know it.

OpenSSL and our own reader understand all of them. NSS refuses shards and deltas, and so lets nobody be taken for good
by them; GnuTLS takes either for the whole, which is why certificates that such readers look at name the whole CRL.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.crl_lint import crl_findings
from tests.fixtures.crl_readers import Question, Verdict, gnutls, gnutls_crl, nss, openssl, openssl_deltas

from troth.app.wiring.door import open_crl_door
from troth.authority.derive import published_name
from troth.authority.revoke import REASONS
from troth.authority.status.publish import CRLDoor, scopes_of
from troth.authority.status.stored import CRLKind, Scope, find_crl
from troth.clock import Clock, SystemClock
from troth.errors import PeerFault
from troth.journal.change import change
from troth.registry.issuers import Issuer
from troth.registry.states import hold, release
from troth.store.read import read
from troth.testing.authority import Held, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import parse_crl
from troth.x509.profiles import Purpose
from troth.x509.serials import shard_of
from troth.x509.verify import verify_chain

pytestmark = [pytest.mark.needs("openssl", "certtool", "crlutil", "vfychain"), pytest.mark.slow]

Reader = Callable[[Question], Verdict]
COMPLETE, DELTA = CRLKind.COMPLETE, CRLKind.DELTA


@dataclass
class Site:
    """A site with one device for each fate; its CRLs from before what befell them, and from after."""

    authority: TestAuthority
    good: Held
    revoked: Held
    held: Held
    released: Held
    before: dict[tuple[Scope, CRLKind], bytes]
    after: dict[tuple[Scope, CRLKind], bytes]
    expired: bytes
    """The whole CRL of the devices' CA as it was a month ago."""

    @property
    def devices(self) -> Issuer:
        return self.authority.hierarchy.issuing[Purpose.DEVICES]

    def scope(self, held: Held, *, is_shard: bool) -> Scope:
        return Scope(self.devices.issuer_id, shard_of(held.certificate.serial_number) if is_shard else None)

    def ask(self, reader: Reader, held: Held, *crls: bytes) -> Verdict:
        return reader(Question(held.certificate, self.devices.certificate, self.authority.root, crls))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with TestAuthority(tmp_path_factory.mktemp("readers")) as authority:
        door = open_crl_door(authority.db, authority.cabinet, authority.public_url, tuple(Purpose))
        good, revoked, held, released = (authority.device(name) for name in ("good", "revoked", "held", "released"))
        devices = authority.hierarchy.issuing[Purpose.DEVICES]
        a_month_ago = FakeClock(authority.clock.now() - timedelta(days=30))
        door.publish(authority.db, a_month_ago, "test", devices, [None])
        expired = _all(authority, devices)[Scope(devices.issuer_id, None), COMPLETE]
        with change(authority.db, authority.clock, "test") as changing:
            hold(changing, released.certificate_id)
        _publish(authority, door, authority.clock)
        before = _all(authority, devices)
        authority.revoke(revoked)
        with change(authority.db, authority.clock, "test") as changing:
            hold(changing, held.certificate_id)
            release(changing, released.certificate_id)
        _publish(authority, door, authority.clock)
        after = _all(authority, devices)
        yield Site(authority, good, revoked, held, released, before, after, expired)


def _publish(authority: TestAuthority, door: CRLDoor, clock: Clock) -> None:
    for issuer in (authority.hierarchy.root, *authority.hierarchy.issuing.values()):
        door.publish(authority.db, clock, "test", issuer, scopes_of(issuer))


def _all(authority: TestAuthority, issuer: Issuer) -> dict[tuple[Scope, CRLKind], bytes]:
    found: dict[tuple[Scope, CRLKind], bytes] = {}
    with read(authority.db) as connection:
        for shard in scopes_of(issuer):
            for kind in (COMPLETE, DELTA):
                crl = find_crl(connection, Scope(issuer.issuer_id, shard), kind)
                if crl is not None:
                    found[crl.scope, kind] = crl.der
    return found


def troth(question: Question) -> Verdict:
    """Our own reader."""
    crls = [parse_crl(der) for der in question.crls]
    chain, anchors = [question.leaf], [question.ca]
    try:
        verify_chain(chain, anchors, at=SystemClock().now(), use=None, crls=crls)
    except PeerFault as fault:
        return Verdict.REVOKED if "the certificate is revoked:" in fault.message else Verdict.NO_CRL
    return Verdict.GOOD


READERS: tuple[Reader, ...] = (openssl, gnutls, nss, troth)


@pytest.mark.parametrize("reader", READERS)
def test_everybody_reads_the_whole_crl_alike(site: Site, reader: Reader) -> None:
    crl = site.after[site.scope(site.good, is_shard=False), COMPLETE]
    for held, verdict in [
        (site.good, Verdict.GOOD),
        (site.revoked, Verdict.REVOKED),
        (site.held, Verdict.REVOKED),
        (site.released, Verdict.GOOD),
    ]:
        assert site.ask(reader, held, crl) is verdict


@pytest.mark.parametrize(
    ("reader", "verdict"),
    [
        (openssl, Verdict.NO_CRL),
        # These two take a certificate for good that no CRL is about.
        (gnutls, Verdict.GOOD),
        (nss, Verdict.NO_CRL),
        (troth, Verdict.NO_CRL),
    ],
)
def test_another_cas_crl_says_nothing(site: Site, reader: Reader, verdict: Verdict) -> None:
    servers = site.authority.hierarchy.issuing[Purpose.SERVERS]
    crl = _all(site.authority, servers)[Scope(servers.issuer_id, None), COMPLETE]
    assert site.ask(reader, site.good, crl) is verdict


@pytest.mark.parametrize(
    ("reader", "verdict"),
    [
        (openssl, Verdict.EXPIRED_CRL),
        # These two go by what an expired CRL says.
        (gnutls, Verdict.GOOD),
        (nss, Verdict.GOOD),
        (troth, Verdict.NO_CRL),
    ],
)
def test_an_expired_crl(site: Site, reader: Reader, verdict: Verdict) -> None:
    assert site.ask(reader, site.good, site.expired) is verdict
    assert gnutls_crl(site.devices.certificate, site.expired) is Verdict.EXPIRED_CRL


def test_a_crl_that_was_tampered_with(site: Site) -> None:
    der = bytearray(site.after[site.scope(site.good, is_shard=False), COMPLETE])
    assert gnutls_crl(site.devices.certificate, bytes(der)) is Verdict.GOOD
    der[-1] ^= 1
    crl = bytes(der)
    assert site.ask(openssl, site.good, crl) is Verdict.BAD_SIGNATURE
    assert site.ask(nss, site.good, crl) is Verdict.BAD_SIGNATURE
    assert site.ask(troth, site.good, crl) is Verdict.NO_CRL
    # `certtool --verify` believes the CRLs that it is given; asked about the CRL, it tells.
    assert gnutls_crl(site.devices.certificate, crl) is Verdict.BAD_SIGNATURE
    servers = site.authority.hierarchy.issuing[Purpose.SERVERS]
    assert gnutls_crl(servers.certificate, bytes(der)) is Verdict.NO_CRL


@pytest.mark.parametrize("reader", [openssl, troth])
def test_who_understands_shards_finds_each_certificate_in_its_own(site: Site, reader: Reader) -> None:
    for held, verdict in [
        (site.good, Verdict.GOOD),
        (site.revoked, Verdict.REVOKED),
        (site.held, Verdict.REVOKED),
        (site.released, Verdict.GOOD),
    ]:
        assert site.ask(reader, held, site.after[site.scope(held, is_shard=True), COMPLETE]) is verdict


@pytest.mark.parametrize(("reader", "verdict"), [(openssl, Verdict.WRONG_SCOPE), (troth, Verdict.NO_CRL)])
def test_a_shard_says_nothing_of_the_others(site: Site, reader: Reader, verdict: Verdict) -> None:
    own = shard_of(site.good.certificate.serial_number)
    other = Scope(site.devices.issuer_id, (own + 1) % site.devices.shards)
    assert site.ask(reader, site.good, site.after[other, COMPLETE]) is verdict


@pytest.mark.parametrize("is_shard", [False, True], ids=["whole", "shard"])
@pytest.mark.parametrize("reader", [openssl_deltas, troth])
def test_an_older_crl_and_the_newest_delta_say_what_is_so_now(site: Site, reader: Reader, is_shard: bool) -> None:
    for held, alone, verdict in [
        (site.good, Verdict.GOOD, Verdict.GOOD),
        (site.revoked, Verdict.GOOD, Verdict.REVOKED),
        (site.held, Verdict.GOOD, Verdict.REVOKED),
        (site.released, Verdict.REVOKED, Verdict.GOOD),
    ]:
        scope = site.scope(held, is_shard=is_shard)
        assert site.ask(reader, held, site.before[scope, COMPLETE]) is alone
        assert site.ask(reader, held, site.before[scope, COMPLETE], site.after[scope, DELTA]) is verdict


def test_nss_refuses_shards_and_deltas(site: Site) -> None:
    whole, shard = (site.scope(site.good, is_shard=is_shard) for is_shard in (False, True))
    for scope, kind in [(whole, DELTA), (shard, COMPLETE), (shard, DELTA)]:
        assert site.ask(nss, site.good, site.after[scope, kind]) is Verdict.UNREADABLE


def test_gnutls_takes_shards_and_deltas_for_the_whole(site: Site) -> None:
    own = shard_of(site.revoked.certificate.serial_number)
    other = Scope(site.devices.issuer_id, (own + 1) % site.devices.shards)
    assert site.ask(gnutls, site.revoked, site.after[other, COMPLETE]) is Verdict.GOOD
    delta = site.after[site.scope(site.released, is_shard=False), DELTA]
    assert site.ask(gnutls, site.released, delta) is Verdict.REVOKED
    assert site.ask(gnutls, site.good, delta) is Verdict.GOOD


def test_who_others_rely_on_names_the_whole_crl(site: Site) -> None:
    authority = site.authority
    whole = {
        authority.server("other.home.example").certificate: Purpose.SERVERS,
        authority.operator("anna").certificate: Purpose.OPERATORS,
    }
    for certificate, purpose in whole.items():
        (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        issuer_id = authority.hierarchy.issuing[purpose].issuer_id
        assert [name.value for name in point.full_name or ()] == [
            f"{authority.public_url}/crl/{published_name(issuer_id)}.crl"
        ]


def test_the_linter_finds_nothing(site: Site) -> None:
    scopes = [
        site.scope(held, is_shard=is_shard) for held in (site.revoked, site.released) for is_shard in (False, True)
    ]
    for scope in scopes:
        for kind in (COMPLETE, DELTA):
            for crls in (site.before, site.after):
                assert crl_findings(crls[scope, kind]) == []
    root = site.authority.hierarchy.root
    assert crl_findings(_all(site.authority, root)[Scope(root.issuer_id, None), COMPLETE]) == []


def test_every_reason_is_revoked_to_everybody(tmp_path: Path) -> None:
    with TestAuthority(tmp_path) as authority:
        door = open_crl_door(authority.db, authority.cabinet, authority.public_url)
        devices = authority.hierarchy.issuing[Purpose.DEVICES]
        lamps = {reason: authority.device(f"lamp-{reason}") for reason in REASONS}
        for reason, lamp in lamps.items():
            authority.revoke(lamp, reason)
        crl, _ = door.publish(authority.db, authority.clock, "test", devices, [None])
        assert crl_findings(crl.der) == []
        for lamp in lamps.values():
            for reader in READERS:
                asked = Question(lamp.certificate, devices.certificate, authority.root, [crl.der])
                assert reader(asked) is Verdict.REVOKED
