"""Our own doors' certificates: renewed in time under the same key, in step with the roots; and the keys' one lock."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.issuance import entries

from troth.app.cabinet import FileCabinet
from troth.app.ceremonies import Ceremonies, open_cabinet
from troth.app.doors import DOORS_RENEWED, Doors
from troth.app.home import Home, open_home
from troth.app.init import Birth, initialise
from troth.app.wiring.database import open_database
from troth.errors import Fault, Kind
from troth.registry.issuers import list_issuers
from troth.store.read import read
from troth.testing.clock import FakeClock
from troth.tls.naming import dns_names
from troth.x509.certificates import parse_chain
from troth.x509.profiles import Purpose

pytestmark = pytest.mark.slow

PASSPHRASE = b"correct horse"


def chain(home: Home, name: str = "gateway") -> tuple[x509.Certificate, ...]:
    return parse_chain(home.chain_of(name).read_bytes())


def born(folder: Path, clock: FakeClock, passphrase: bytes | None = None) -> Home:
    initialise(folder, Birth("home.example", "http://home.example:8080", passphrase), {}, clock)
    return Home(folder)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ceremonies(tmp_path: Path, clock: FakeClock) -> Iterator[Ceremonies]:
    """A home with its keys at hand."""
    home = born(tmp_path / "home", clock)
    _, settings = open_home(home.path, {})
    db = open_database(home, settings)
    yield Ceremonies(home, settings, db, clock, FileCabinet(home.path, None), "operator:test")
    db.dispose()


def doors_of(ceremonies: Ceremonies) -> Doors:
    parts = (ceremonies.home, ceremonies.settings, ceremonies.db, ceremonies.clock, ceremonies.cabinet)
    return Doors(*parts, ceremonies.actor)


def test_certificates_are_renewed_ahead_of_their_end_under_the_same_key(
    ceremonies: Ceremonies, clock: FakeClock
) -> None:
    doors, home = doors_of(ceremonies), ceremonies.home
    before, key = chain(home), (home.servers / "gateway.key").read_bytes()
    clock.advance(timedelta(days=240))
    assert doors.renew_due() == []
    assert chain(home) == before
    # A third of its life is left.
    clock.advance(timedelta(days=6))
    assert doors.renew_due() == ["gateway", "web"]
    after = chain(home)
    assert after[0].not_valid_after_utc > before[0].not_valid_after_utc
    assert after[0].public_key() == before[0].public_key()
    assert (home.servers / "gateway.key").read_bytes() == key
    # Doors that are open are told, once.
    assert len(entries(ceremonies.db, DOORS_RENEWED)) == 1
    assert doors.renew_due() == []
    assert len(entries(ceremonies.db, DOORS_RENEWED)) == 1


def test_another_name_of_the_site_makes_a_renewal_due(ceremonies: Ceremonies) -> None:
    home, settings = ceremonies.home, ceremonies.settings
    before = chain(home)[0]
    for names in (("mqtt.home.example",), ()):
        site = settings.site.model_copy(update={"names": names})
        doors = replace(doors_of(ceremonies), settings=settings.model_copy(update={"site": site}))
        assert doors.renew_due() == ["gateway", "web"]
        after = chain(home)[0]
        assert dns_names(after) == ("home.example", *names, "localhost")
        assert (after.public_key(), after.serial_number != before.serial_number) == (before.public_key(), True)
        assert doors.renew_due() == []


def test_a_name_that_the_servers_ca_may_not_certify_changes_nothing(ceremonies: Ceremonies) -> None:
    before = chain(ceremonies.home)
    site = ceremonies.settings.site.model_copy(update={"names": ("bank.example",)})
    doors = replace(doors_of(ceremonies), settings=ceremonies.settings.model_copy(update={"site": site}))
    with pytest.raises(Fault) as refused:
        doors.renew_due()
    assert refused.value.kind is Kind.REJECTED
    assert chain(ceremonies.home) == before


def test_a_host_without_the_keys_leaves_certificates_alone(ceremonies: Ceremonies, clock: FakeClock) -> None:
    clock.advance(timedelta(days=340))
    key = ceremonies.home.keys / "servers-1.key"
    kept = key.read_bytes()
    key.unlink()
    assert doors_of(ceremonies).renew_due() == []
    key.write_bytes(kept)
    assert doors_of(ceremonies).renew_due() == ["gateway", "web"]


def test_init_given_again_renews_what_is_due(ceremonies: Ceremonies, clock: FakeClock) -> None:
    birth = Birth("home.example", "http://home.example:8080", None)
    done = initialise(ceremonies.home.path, birth, {}, clock)
    assert (done.created, done.certified) == (False, ())
    clock.advance(timedelta(days=340))
    done = initialise(ceremonies.home.path, birth, {}, clock)
    assert (done.created, done.certified) == (False, ("gateway", "web"))


def test_a_rollover_brings_doors_and_files_in_step(ceremonies: Ceremonies) -> None:
    home = ceremonies.home
    done = ceremonies.roll_over("root", None)
    # The servers' CA is the old one still; what leads to it from the new root is shown too.
    assert [each.subject for each in chain(home)[1:]] == [
        chain(home)[0].issuer,
        done.old.certificate.subject,
    ]
    assert parse_chain(home.root_certificate.read_bytes()) == (done.new.certificate, done.old.certificate)
    servers = ceremonies.roll_over("servers", None).new
    assert chain(home)[0].issuer == servers.certificate.subject
    for line in ("devices", "operators"):
        ceremonies.roll_over(line, None)
    for name in ("servers-1", "devices-1", "operators-1", "root-1"):
        ceremonies.retire(name, name)
    assert parse_chain(home.root_certificate.read_bytes()) == (done.new.certificate,)
    assert len(chain(home)) == 2


def test_a_home_whose_root_is_elsewhere_has_no_doors_yet(tmp_path: Path, clock: FakeClock) -> None:
    vault = tmp_path / "vault"
    url = "http://home.example:8080"
    done = initialise(vault, Birth("home.example", url, None, root_only=True), {}, clock)
    assert (done.created, done.certified) == (True, ())
    (root,) = parse_chain(Home(vault).root_certificate.read_bytes())
    site = Home(tmp_path / "site")
    initialise(site.path, Birth("home.example", url, None, root=root), {}, clock)
    assert parse_chain(site.root_certificate.read_bytes()) == (root,)
    assert not list(site.servers.iterdir())
    _, settings = open_home(site.path, {})
    db = open_database(site, settings)
    with read(db) as connection:
        (issuer,) = list_issuers(connection)
    assert (issuer.name, issuer.key_name) == ("root-1", "")
    ceremonies = Ceremonies(site, settings, db, clock, FileCabinet(site.path, None), "operator:test")
    for step in (lambda: ceremonies.create(Purpose.DEVICES, "more", None), lambda: ceremonies.roll_over("root", None)):
        with pytest.raises(Fault) as caught:
            step()
        assert caught.value.kind is Kind.NOT_FOUND
    assert not [path for path in site.keys.iterdir() if path.name not in {"checkpoint.key", "time.key"}]
    db.dispose()


def test_new_keys_are_locked_as_those_that_are_there(tmp_path: Path, clock: FakeClock) -> None:
    for passphrase, wrong in ((PASSPHRASE, None), (PASSPHRASE, b"other"), (None, PASSPHRASE)):
        home = born(tmp_path / f"{passphrase!r}{wrong!r}".replace("'", ""), clock, passphrase)
        _, settings = open_home(home.path, {})
        db = open_database(home, settings)
        assert open_cabinet(home, settings, db, passphrase).passphrase == passphrase
        with pytest.raises(Fault) as caught:
            open_cabinet(home, settings, db, wrong)
        assert caught.value.kind is Kind.BAD_KEY
        db.dispose()
