"""CAs of elsewhere: what is good is taken, and each thing that is wrong with one is refused by the step of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.fixtures.issuance import entries

from troth.app.profiles import built_in_profiles
from troth.authority.adopt import adopt_answer, adopt_issuer, request_issuer
from troth.authority.ceremony import Ceremony
from troth.authority.hierarchy import apply_profiles
from troth.authority.rollover import roll_over
from troth.authority.roots import adopt_root, register_root
from troth.authority.subordinate import sign_request
from troth.errors import Fault, Kind, PeerFault
from troth.keys.file import FileKey, generate
from troth.keys.pkcs12 import is_pkcs12, parse_pkcs12
from troth.registry.issuer_requests import list_issuer_requests
from troth.registry.issuers import Issuer, IssuerState, get_issuer, list_issuers
from troth.registry.trust import trust_bundle
from troth.store import migrate
from troth.store.connect import Database, connect
from troth.store.read import read
from troth.testing.authority import ACTOR, MemoryCabinet, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm, signature_hash
from troth.x509.building import key_identifier
from troth.x509.profiles import Purpose
from troth.x509.requests import parse_request

pytestmark = pytest.mark.slow

SITE = "home.example"


class Keeping(MemoryCabinet):
    """A cabinet that takes keys of elsewhere."""

    def keep(self, name: str, key: FileKey) -> None:
        self.keys[name] = key


@dataclass
class Made:
    """How a CA of elsewhere is made; by default one that is good for devices."""

    subject: str = "Company Devices"
    algorithm: KeyAlgorithm = KeyAlgorithm.P256
    ca: bool = True
    path_length: int | None = 0
    cert_sign: bool = True
    crl_sign: bool = True
    uses: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING)
    identifier: bool = True
    from_now: timedelta = timedelta(days=-1)
    lifetime: timedelta = timedelta(days=1000)
    key: FileKey | None = field(default=None)

    def by(self, clock: FakeClock, issuer: "x509.Certificate | None", signer: FileKey | None) -> "Certified":
        key = self.key or generate(self.algorithm)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.subject)])
        usage = [False] * 9
        usage[5], usage[6] = self.cert_sign, self.crl_sign
        begin = clock.now() + self.from_now
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.subject if issuer else name)
            .public_key(key.public_key)
            .serial_number(int.from_bytes(key_identifier(key.public_key)[:8], "big") | 1)
            .not_valid_before(begin)
            .not_valid_after(begin + self.lifetime)
            .add_extension(x509.BasicConstraints(self.ca, self.path_length if self.ca else None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
        )
        if self.uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.uses), critical=False)
        if self.identifier:
            identifier = x509.SubjectKeyIdentifier(key_identifier(key.public_key))
            builder = builder.add_extension(identifier, critical=False)
        by = signer or key
        return Certified(builder.sign(by.private_key, signature_hash(by.algorithm)), key)


@dataclass(frozen=True)
class Certified:
    certificate: x509.Certificate
    key: FileKey


@pytest.fixture
def cabinet(authority: TestAuthority) -> Keeping:
    found = Keeping()
    found.keys = authority.cabinet.keys
    return found


@pytest.fixture
def ceremony(authority: TestAuthority, cabinet: Keeping) -> Ceremony:
    return Ceremony(authority.db, authority.clock, authority.public_url, cabinet, ACTOR)


@pytest.fixture
def company(clock: FakeClock) -> Certified:
    """A company's root."""
    return Made("Company Root", path_length=None, uses=()).by(clock, None, None)


def adopt(
    ceremony: Ceremony, cabinet: Keeping, made: Certified, *above: Certified, purpose: Purpose = Purpose.DEVICES
) -> Issuer:
    certificates = [each.certificate for each in (made, *above)]
    return adopt_issuer(ceremony, cabinet, certificates, made.key, purpose=purpose, line="plant", site=SITE)


def issuers(db: Database) -> dict[str, Issuer]:
    with read(db) as connection:
        return {issuer.name: issuer for issuer in list_issuers(connection)}


def test_a_good_one_signs_from_now_on(
    authority: TestAuthority, ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    made = Made().by(clock, company.certificate, company.key)
    issuer = adopt(ceremony, cabinet, made, company)
    assert (issuer.name, issuer.state, issuer.shards) == ("plant-1", IssuerState.ACTIVE, 64)
    assert cabinet.open(issuer.key_name).public_key == made.key.public_key
    above = issuers(authority.db)["plant-above-1"]
    assert (above.key_name, above.issuer_id) == ("", issuer.parent_id)
    with read(authority.db) as connection:
        assert get_issuer(connection, Purpose.DEVICES, "plant").name == "plant-1"
        # Devices are told of its root, and our own stays the one that signs issuers.
        assert {root.name for root in trust_bundle(connection).roots} == {"root-1", "plant-above-1"}
    assert issuer.issuer_id in authority.door().issuer_ids
    assert roll_over(ceremony, site=SITE, line="devices", names=()).new.name == "devices-2"


WRONG = {
    "weak key": (Made(algorithm=KeyAlgorithm.RSA2048), Kind.BAD_KEY, 2),
    "no ca": (Made(ca=False), Kind.REJECTED, 4),
    "signs no certificates": (Made(cert_sign=False), Kind.REJECTED, 4),
    "signs no crls": (Made(crl_sign=False), Kind.REJECTED, 4),
    "for servers": (Made(uses=(ExtendedKeyUsageOID.SERVER_AUTH,)), Kind.REJECTED, 5),
    "no identifier": (Made(identifier=False), Kind.REJECTED, 6),
    "over": (Made(from_now=timedelta(days=-10), lifetime=timedelta(days=5)), Kind.EXPIRED, None),
    "not yet": (Made(from_now=timedelta(days=1)), Kind.EXPIRED, None),
}


@pytest.mark.parametrize(("made", "kind", "step"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    authority: TestAuthority,
    ceremony: Ceremony,
    cabinet: Keeping,
    clock: FakeClock,
    company: Certified,
    made: Made,
    kind: Kind,
    step: int | None,
) -> None:
    before = set(cabinet.keys)
    with pytest.raises(Fault) as caught:
        adopt(ceremony, cabinet, made.by(clock, company.certificate, company.key), company)
    assert caught.value.kind is kind
    assert step is None or caught.value.detail == f"acceptance, step {step}"
    assert set(cabinet.keys) == before
    assert "plant-1" not in issuers(authority.db)


def test_who_names_no_use_or_any_may_certify_for_any(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    made = Made(uses=()).by(clock, company.certificate, company.key)
    assert adopt(ceremony, cabinet, made, company).name == "plant-1"
    uses = (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)
    another = Made(subject="Another", uses=uses).by(clock, company.certificate, company.key)
    assert adopt(ceremony, cabinet, another).name == "plant-2"


def test_a_ca_for_peers_names_both_uses_itself(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    client, server = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
    for uses in ((), (client,), (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)):
        with pytest.raises(Fault) as caught:
            made = Made(uses=uses).by(clock, company.certificate, company.key)
            adopt(ceremony, cabinet, made, company, purpose=Purpose.PEERS)
        assert caught.value.detail == "acceptance, step 5"
    made = Made(uses=(client, server)).by(clock, company.certificate, company.key)
    assert adopt(ceremony, cabinet, made, company, purpose=Purpose.PEERS).name == "plant-1"


def test_a_key_of_another_is_refused(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    made = Made().by(clock, company.certificate, company.key)
    with pytest.raises(Fault) as caught:
        adopt(ceremony, cabinet, Certified(made.certificate, generate(KeyAlgorithm.P256)), company)
    assert caught.value.kind is Kind.BAD_KEY


def test_a_path_without_its_end_is_refused(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    made = Made().by(clock, company.certificate, company.key)
    with pytest.raises(Fault) as caught:
        adopt(ceremony, cabinet, made)
    assert (caught.value.kind, caught.value.message) == (
        Kind.REJECTED,
        "what certified 'CN=Company Devices' is not here",
    )
    # One that only bears the name of what certified it is not it.
    impostor = Made("Company Root", path_length=None, uses=()).by(clock, None, None)
    with pytest.raises(Fault) as caught:
        adopt(ceremony, cabinet, made, impostor)
    assert caught.value.kind is Kind.UNAUTHENTICATED


def test_a_root_that_allows_no_issuer_below_it_is_refused(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock
) -> None:
    flat = Made("Flat Root", path_length=0, uses=()).by(clock, None, None)
    with pytest.raises(Fault) as caught:
        adopt(ceremony, cabinet, Made().by(clock, flat.certificate, flat.key), flat)
    assert "longer than the issuer allows" in caught.value.message


def test_neither_name_nor_key_is_taken_twice(
    ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    made = Made().by(clock, company.certificate, company.key)
    adopt(ceremony, cabinet, made, company)
    for again in (Made(), Made("Other", key=made.key)):
        with pytest.raises(Fault) as caught:
            adopt(ceremony, cabinet, again.by(clock, company.certificate, company.key))
        assert (caught.value.kind, caught.value.detail) == (Kind.CONFLICT, "acceptance, step 3")


def test_a_root_with_its_key_follows_on_ours(
    authority: TestAuthority, ceremony: Ceremony, cabinet: Keeping, clock: FakeClock, company: Certified
) -> None:
    issuer = adopt_issuer(
        ceremony, cabinet, [company.certificate], company.key, purpose=Purpose.ROOT, line=None, site=SITE
    )
    assert (issuer.name, issuer.state) == ("root-2", IssuerState.ACTIVE)
    assert issuers(authority.db)["root-1"].state is IssuerState.SUPERSEDED
    with read(authority.db) as connection:
        bundle = trust_bundle(connection)
    assert [root.name for root in bundle.roots] == ["root-2", "root-1"]
    assert len(bundle.crosses) == 2
    flat = Made("Flat Root", path_length=1, uses=()).by(clock, None, None)
    with pytest.raises(Fault) as caught:
        adopt_issuer(ceremony, cabinet, [flat.certificate], flat.key, purpose=Purpose.ROOT, line=None, site=SITE)
    assert caught.value.detail == "acceptance, step 4"


def test_pkcs12_gives_key_and_chain(clock: FakeClock, company: Certified) -> None:
    made = Made().by(clock, company.certificate, company.key)
    private_key = made.key.private_key
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    encryption = BestAvailableEncryption(b"secret")
    data = pkcs12.serialize_key_and_certificates(
        b"plant", private_key, made.certificate, [company.certificate], encryption
    )
    assert is_pkcs12(data)
    key, certificates = parse_pkcs12(data, b"secret")
    assert key.public_key == made.key.public_key
    assert certificates == (made.certificate, company.certificate)
    for wrong in (b"other", None):
        with pytest.raises(PeerFault) as caught:
            parse_pkcs12(data, wrong)
        assert caught.value.kind is Kind.BAD_KEY
    with pytest.raises(PeerFault):
        parse_pkcs12(data[:-7], b"secret")
    without = pkcs12.serialize_key_and_certificates(None, None, made.certificate, None, encryption)
    with pytest.raises(PeerFault) as caught:
        parse_pkcs12(without, b"secret")
    assert caught.value.kind is Kind.MALFORMED


@dataclass(frozen=True)
class Machines:
    """Two machines: one with the root's key, one that will run."""

    vault: Ceremony
    site: Ceremony


@pytest.fixture
def machines(authority: TestAuthority, cabinet: Keeping, tmp_path_factory: pytest.TempPathFactory) -> Machines:
    # The vault is another site's database with the same root; its own issuing CAs do not matter here.
    folder = tmp_path_factory.mktemp("vault")
    vault = TestAuthority(folder, clock=authority.clock, site="vault.example")
    return Machines(
        Ceremony(vault.db, vault.clock, vault.public_url, vault.cabinet, ACTOR),
        Ceremony(authority.db, authority.clock, authority.public_url, cabinet, ACTOR),
    )


def test_a_request_is_signed_elsewhere_and_its_answer_signs(machines: Machines, cabinet: Keeping) -> None:
    asked = request_issuer(machines.site, site=SITE, purpose=Purpose.DEVICES, line="plant")
    assert request_issuer(machines.site, site=SITE, purpose=Purpose.DEVICES, line="plant") == asked
    request = parse_request(asked.request)
    assert request.common_name == "home.example plant CA 1"
    sign = partial(sign_request, site="vault.example", purpose=Purpose.DEVICES, line="plant", names=())
    signed, bundle = sign(machines.vault, request)
    assert signed.key_name == ""
    # The request again gives the same certificate.
    assert sign(machines.vault, request)[0].issuer_id == signed.issuer_id
    (intended,) = [
        entry for entry in entries(machines.vault.db, "certificate.intended")
        if entry.data["request_digest"] == request.digest
    ]  # fmt: skip
    assert intended.data["profile"] == "issuing-devices"
    certificates = [signed.certificate, *(root.certificate for root in bundle.roots)]
    issuer = adopt_answer(machines.site, certificates)
    assert (issuer.name, issuer.state) == ("plant-1", IssuerState.ACTIVE)
    assert cabinet.open(issuer.key_name).public_key == signed.certificate.public_key()
    with read(machines.site.db) as connection:
        assert list_issuer_requests(connection) == []
    # An answer to nothing is none.
    with pytest.raises(Fault) as caught:
        adopt_answer(machines.site, certificates)
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize(
    ("line", "purpose", "kind"),
    [
        (None, Purpose.DEVICES, Kind.CONFLICT),
        (None, Purpose.ROOT, Kind.REJECTED),
        ("a b", Purpose.DEVICES, Kind.MALFORMED),
    ],
)
def test_what_is_not_signed_for_others(machines: Machines, line: str | None, purpose: Purpose, kind: Kind) -> None:
    asked = request_issuer(machines.site, site=SITE, purpose=Purpose.DEVICES, line="plant")
    with pytest.raises(Fault) as caught:
        sign_request(
            machines.vault, parse_request(asked.request), site="vault.example", purpose=purpose, line=line, names=()
        )
    assert caught.value.kind is kind


def test_the_next_root_is_taken_on_the_word_of_the_one_before(
    authority: TestAuthority, tmp_path: Path, clock: FakeClock
) -> None:
    """The home that runs knows the root's certificate only."""
    own_db = connect("sqlite:///site.db", tmp_path)
    migrate.upgrade(own_db)
    site = Ceremony(own_db, clock, "http://home.example:8080", MemoryCabinet(), ACTOR)
    apply_profiles(own_db, clock, tuple(built_in_profiles().values()), ACTOR)
    assert register_root(site, authority.root).name == "root-1"
    assert register_root(site, authority.root).name == "root-1"
    vault = Ceremony(authority.db, clock, authority.public_url, authority.cabinet, ACTOR)
    made = roll_over(vault, site=SITE, line="root", names=())
    new_with_old, old_with_new = (cross.certificate for cross in made.crosses)
    for without in ([made.new.certificate], [made.new.certificate, old_with_new], [new_with_old, old_with_new]):
        with pytest.raises(Fault) as caught:
            adopt_root(site, without)
        assert caught.value.kind is Kind.REJECTED
    # A stranger's root is not taken, whatever it is brought with.
    stranger = Made("home.example root CA 2", path_length=None, uses=()).by(clock, None, None)
    with pytest.raises(Fault):
        adopt_root(site, [stranger.certificate, new_with_old])
    root = adopt_root(site, [old_with_new, made.new.certificate, new_with_old])
    assert (root.name, root.issuer_id) == ("root-2", made.new.issuer_id)
    with read(own_db) as connection:
        bundle = trust_bundle(connection)
    assert [each.name for each in bundle.roots] == ["root-2", "root-1"]
    assert len(bundle.crosses) == 2
    with pytest.raises(Fault):
        register_root(site, stranger.certificate)
    own_db.dispose()


def test_a_root_asks_nobody(ceremony: Ceremony) -> None:
    with pytest.raises(Fault) as caught:
        request_issuer(ceremony, site=SITE, purpose=Purpose.ROOT, line=None)
    assert caught.value.kind is Kind.CONFLICT
