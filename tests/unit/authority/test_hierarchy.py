"""A birth that is cut off anywhere is finished by calling again, with the same keys and no name given twice."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import text
from tests.fixtures.issuance import entries

from troth.app.profiles import built_in_profiles
from troth.authority.generation import Generation
from troth.authority.hierarchy import Hierarchy, found, open_keys
from troth.authority.issuer_intents import prepare_issuer
from troth.errors import Bug, Fault, Kind
from troth.journal.change import change
from troth.journal.entries import head
from troth.keys.file import FileKey, generate
from troth.limits import INTENT_AGE_S_MAX
from troth.registry.issuers import list_issuers
from troth.registry.profiles import apply_profile, get_profile
from troth.store.connect import Database
from troth.store.read import read
from troth.store.write import write
from troth.testing.authority import MemoryCabinet, TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.profiles import ExtendedUse, Purpose
from troth.x509.verify import verify_chain, verify_issued_by


def birth(db: Database, clock: FakeClock, cabinet: MemoryCabinet) -> Hierarchy:
    return found(
        db,
        clock,
        site="home.example",
        names=("mqtt.example",),
        public_url="http://home.example:8080",
        profiles=tuple(built_in_profiles().values()),
        cabinet=cabinet,
    )


class DyingCabinet(MemoryCabinet):
    """Lets the process die when the key of this name is wanted."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name: str | None = name

    def make(self, name: str, algorithm: KeyAlgorithm) -> FileKey:
        made = super().make(name, algorithm)
        if name == self.name:
            raise KeyboardInterrupt
        return made


def constraints_of(certificate: x509.Certificate) -> x509.BasicConstraints:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value


def test_a_site_has_a_root_and_an_issuer_for_each_purpose(sqlite_db: Database, clock: FakeClock) -> None:
    cabinet = MemoryCabinet()
    hierarchy = birth(sqlite_db, clock, cabinet)
    root = hierarchy.root.certificate
    assert constraints_of(root).path_length == 2
    verify_issued_by(root, root, at=clock.now(), use=None)
    uses = {
        Purpose.DEVICES: (ExtendedUse.CLIENT_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
        Purpose.SERVERS: (ExtendedUse.SERVER_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
        Purpose.OPERATORS: (ExtendedUse.CLIENT_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    }
    assert hierarchy.issuing.keys() == uses.keys()
    for purpose, issuer in hierarchy.issuing.items():
        assert constraints_of(issuer.certificate).path_length == 0
        only, signer = issuer.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert (only, signer) == (uses[purpose][1], ExtendedKeyUsageOID.OCSP_SIGNING)
        assert issuer.parent_id == hierarchy.root.issuer_id
        verify_chain([issuer.certificate], [root], at=clock.now(), use=uses[purpose][0])
    assert set(cabinet.keys) == {"root/root.key", "keys/devices-1.key", "keys/servers-1.key", "keys/operators-1.key"}
    subjects = {issuer.certificate.subject for issuer in (hierarchy.root, *hierarchy.issuing.values())}
    assert len(subjects) == 4
    assert len(entries(sqlite_db, "issuer.created")) == 4


def test_only_the_servers_issuer_is_held_to_names(authority: TestAuthority) -> None:
    def held(certificate: x509.Certificate) -> bool:
        return any(isinstance(each.value, x509.NameConstraints) for each in certificate.extensions)

    assert {purpose: held(issuer.certificate) for purpose, issuer in authority.hierarchy.issuing.items()} == {
        Purpose.DEVICES: False,
        Purpose.SERVERS: True,
        Purpose.OPERATORS: False,
    }


def test_born_twice_is_born_once(sqlite_db: Database, clock: FakeClock) -> None:
    cabinet = MemoryCabinet()
    first = birth(sqlite_db, clock, cabinet)
    with read(sqlite_db) as connection:
        before = head(connection)
    # The root's key is in a safe by now, and is not asked for.
    del cabinet.keys["root/root.key"]
    second = birth(sqlite_db, clock, cabinet)
    assert (second.root.issuer_id, second.issuing.keys()) == (first.root.issuer_id, first.issuing.keys())
    with read(sqlite_db) as connection:
        assert head(connection) == before
    assert "root/root.key" not in cabinet.keys


def test_a_profile_that_is_there_stays_as_it_is(sqlite_db: Database, clock: FakeClock) -> None:
    own = built_in_profiles()["device"].replace('"90d"', '"30d"')
    with change(sqlite_db, clock, "operator:test") as changing:
        apply_profile(changing, own)
    birth(sqlite_db, clock, MemoryCabinet())
    with read(sqlite_db) as connection:
        assert get_profile(connection, "device").document == own


@pytest.mark.parametrize("name", ["root/root.key", "keys/devices-1.key", "keys/servers-1.key", "keys/operators-1.key"])
def test_a_birth_cut_off_after_a_key_is_finished_with_that_key(
    sqlite_db: Database, clock: FakeClock, name: str
) -> None:
    cabinet = DyingCabinet(name)
    with pytest.raises(KeyboardInterrupt):
        birth(sqlite_db, clock, cabinet)
    made, cabinet.name = dict(cabinet.keys), None
    birth(sqlite_db, clock, cabinet)
    assert made.items() <= cabinet.keys.items()
    with read(sqlite_db) as connection:
        issuers = list_issuers(connection)
    assert len(issuers) == 4
    assert all(cabinet.open(issuer.key_name).public_key == issuer.certificate.public_key() for issuer in issuers)


@pytest.mark.parametrize(("waited_s", "intents"), [(5, 1), (INTENT_AGE_S_MAX + 5, 2)])
def test_a_birth_cut_off_after_an_intent_is_finished(
    sqlite_db: Database, clock: FakeClock, waited_s: int, intents: int
) -> None:
    cabinet = DyingCabinet("keys/devices-1.key")
    with pytest.raises(KeyboardInterrupt):
        birth(sqlite_db, clock, cabinet)
    cabinet.name = None
    with read(sqlite_db) as connection:
        (root,) = list_issuers(connection)
    generation = Generation("home.example", Purpose.DEVICES, 1, ("mqtt.example",))
    with change(sqlite_db, clock, "system:init") as changing:
        intent = prepare_issuer(
            changing,
            generation=generation,
            public_key=cabinet.open(generation.key_name).public_key,
            parent=root,
            public_url="http://home.example:8080",
        )
    clock.advance(timedelta(seconds=waited_s))
    issuer = birth(sqlite_db, clock, cabinet).issuing[Purpose.DEVICES]
    assert (issuer.certificate.serial_number == intent.serial) is (intents == 1)
    asked = [
        entry for entry in entries(sqlite_db, "certificate.intended") if entry.data["profile"] == "issuing-devices"
    ]
    assert len(asked) == intents


def test_a_key_that_is_not_the_issuers_is_not_used(authority: TestAuthority) -> None:
    authority.cabinet = MemoryCabinet()
    for issuer in authority.hierarchy.issuing.values():
        authority.cabinet.keys[issuer.key_name] = generate(KeyAlgorithm.P256)
    with read(authority.db) as connection, pytest.raises(Fault) as caught:
        open_keys(connection, authority.cabinet)
    assert caught.value.kind is Kind.BAD_KEY


def test_the_issuing_keys_are_opened_without_the_roots(authority: TestAuthority) -> None:
    with read(authority.db) as connection:
        keys = open_keys(connection, authority.cabinet)
    assert keys.keys() == {issuer.issuer_id for issuer in authority.hierarchy.issuing.values()}


def test_a_site_that_cannot_be_named_is_refused(sqlite_db: Database, clock: FakeClock) -> None:
    with pytest.raises(Fault) as caught:
        found(
            sqlite_db,
            clock,
            site="",
            public_url="http://home.example:8080",
            profiles=tuple(built_in_profiles().values()),
            cabinet=MemoryCabinet(),
        )
    assert caught.value.kind is Kind.MALFORMED


def test_an_issuer_never_outlives_its_root(sqlite_db: Database, clock: FakeClock) -> None:
    longer = [text.replace('validity = "3650d"', 'validity = "9000d"') for text in built_in_profiles().values()]
    hierarchy = found(
        sqlite_db,
        clock,
        site="home.example",
        public_url="http://home.example:8080",
        profiles=longer,
        cabinet=MemoryCabinet(),
    )
    devices = hierarchy.issuing[Purpose.DEVICES].certificate
    assert devices.not_valid_after_utc == hierarchy.root.certificate.not_valid_after_utc


def test_a_root_has_no_parent_and_an_issuer_has_one(authority: TestAuthority, clock: FakeClock) -> None:
    key = generate(KeyAlgorithm.P256).public_key
    for generation, parent in (
        (Generation("home.example", Purpose.ROOT, 2), authority.hierarchy.root),
        (Generation("home.example", Purpose.DEVICES, 2), None),
    ):
        with pytest.raises(Bug), change(authority.db, clock, "system:init") as changing:
            prepare_issuer(
                changing, generation=generation, public_key=key, parent=parent, public_url=authority.public_url
            )


def test_the_root_must_be_there_to_certify_what_is_missing(sqlite_db: Database, clock: FakeClock) -> None:
    cabinet = MemoryCabinet()
    birth(sqlite_db, clock, cabinet)
    with write(sqlite_db) as connection:
        connection.execute(text("DELETE FROM issuers WHERE purpose = 'operators'"))
    del cabinet.keys["root/root.key"]
    with pytest.raises(Fault) as caught:
        birth(sqlite_db, clock, cabinet)
    assert caught.value.kind is Kind.NOT_FOUND
