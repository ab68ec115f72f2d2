"""The trust bundle over EST: who is told, who is known to hold it, and what a device makes of it."""

from pathlib import Path

import pytest
from cryptography import x509
from tests.fixtures.doors import RunningDoors, curl
from tests.fixtures.platform import until

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import Rollover, retire, roll_over
from troth.clock import SystemClock
from troth.device.endpoint import Address, Endpoint
from troth.device.identity import Settings, open_identity, write_settings, write_trust
from troth.device.slots import holding
from troth.device.trust import judge, refresh_trust
from troth.errors import Fault, Kind
from troth.journal.entries import head
from troth.keys.file import write_key
from troth.keys.files import write_private
from troth.protocols.est import parse_certificates
from troth.registry.trust import TrustBundle, trust_bundle
from troth.registry.uptake import Uptake, find_uptake
from troth.store.read import read
from troth.testing.authority import ACTOR, Held, TestAuthority
from troth.x509.certificates import certificate_id, render_chain

CACERTS = "/.well-known/est/cacerts"


def ask(doors: RunningDoors, held: Held | None = None, *words: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for the bundle with curl, as `held` or as nobody."""
    own = ["--cert", str(held.chain_file), "--key", str(held.key_file)] if held else []
    answer = curl(f"https://localhost:{doors.https}{CACERTS}", *own, *words, root=doors.site.root_file)
    return answer.status, answer.headers, answer.body


def known(site: TestAuthority, thing: str) -> Uptake | None:
    with read(site.db) as connection:
        return find_uptake(connection, thing)


def bundle(site: TestAuthority) -> TrustBundle:
    with read(site.db) as connection:
        return trust_bundle(connection)


def journal(site: TestAuthority) -> int:
    with read(site.db) as connection:
        return head(connection)


def ceremony(site: TestAuthority) -> Ceremony:
    return Ceremony(site.db, site.clock, site.public_url, site.cabinet, ACTOR)


def over(doors: RunningDoors, line: str) -> Rollover:
    """Roll over, and wait until the doors tell of it."""
    done = roll_over(ceremony(doors.site), site="home.example", line=line, names=())
    tag = f'"{bundle(doors.site).digest}"'
    until(lambda: ask(doors)[1]["etag"] == tag, "the new bundle")
    return done


def identity(doors: RunningDoors, folder: Path, held: Held) -> Path:
    """Return an identity folder with this certificate, that trusts the site's first root."""
    with holding(folder) as slots:
        slot = slots.spare()
        slot.make()
        write_key(slot.key_file, held.key, None)
        write_private(slot.chain_file, render_chain(list(held.chain)))
        write_trust(folder, [doors.site.root])
        here = Address("localhost", doors.https)
        write_settings(folder, Settings("lamp-1", Endpoint(here, here, None)))
        slots.switch(slot)
    return folder


@pytest.mark.needs("curl")
def test_a_device_that_says_who_it_is_counts_as_told_and_then_as_holding(doors: RunningDoors) -> None:
    site = doors.site
    lamp = site.device("lamp-1")
    status, headers, body = ask(doors, lamp)
    assert status == 200
    found = bundle(site)
    assert {certificate_id(each) for each in parse_certificates(body)} == {
        certificate_id(each) for each in found.certificates
    }
    uptake = known(site, "lamp-1")
    assert uptake is not None
    assert (uptake.root_id, uptake.bundle, uptake.held_at) == (found.roots[0].issuer_id, found.digest, None)
    before = journal(site)
    # Asked again it is no news, and nothing is written.
    ask(doors, lamp)
    assert journal(site) == before
    status, _, body = ask(doors, lamp, "--header", f"If-None-Match: {headers['etag']}")
    assert (status, body) == (304, b"")
    uptake = known(site, "lamp-1")
    assert uptake is not None
    assert uptake.held_at is not None


@pytest.mark.needs("curl")
def test_nobody_else_counts(doors: RunningDoors) -> None:
    site = doors.site
    site.thing("lamp-1")
    tag = ask(doors)[1]["etag"]
    ask(doors, None, "--header", f"If-None-Match: {tag}")
    revoked = site.device("lamp-2")
    site.revoke(revoked)
    ask(doors, revoked)
    assert known(site, "lamp-1") is None
    assert known(site, "lamp-2") is None
    # The honest twin.
    ask(doors, site.device("lamp-3"))
    assert known(site, "lamp-3") is not None


def test_a_device_follows_a_rollover_and_its_home_learns_of_it(doors: RunningDoors, tmp_path: Path) -> None:
    site = doors.site
    folder = identity(doors, tmp_path / "lamp", site.device("lamp-1"))
    first = refresh_trust(folder, SystemClock())
    assert (first.added, first.dropped) == ((), ())
    done = over(doors, "root")
    found = refresh_trust(folder, SystemClock())
    assert found.added == (done.new.certificate,)
    assert open_identity(folder).trust == (done.new.certificate, site.root)
    uptake = known(site, "lamp-1")
    assert uptake is not None
    assert uptake.root_id == done.new.issuer_id
    assert uptake.held_at is not None
    before = journal(site)
    assert refresh_trust(folder, SystemClock()).trust == found.trust
    assert journal(site) == before


def test_a_root_that_no_trusted_one_has_certified_is_never_taken(
    doors: RunningDoors, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = doors.site
    done = over(doors, "root")
    now = SystemClock().now()
    new_with_old, old_with_new = (cross.certificate for cross in done.crosses)
    told = [site.root, done.new.certificate]
    assert judge([site.root], [*told, new_with_old, old_with_new], now).added == (done.new.certificate,)
    for without in (told, [*told, old_with_new]):
        refused = judge([site.root], without, now)
        assert (refused.added, refused.refused) == ((), (done.new.certificate,))
    with TestAuthority(tmp_path_factory.mktemp("stranger")) as stranger:
        foreign = judge([site.root], [site.root, stranger.root, new_with_old], now)
        assert foreign.refused == (stranger.root,)
        with pytest.raises(Fault) as caught:
            judge([site.root], [stranger.root], now)
        assert caught.value.kind is Kind.UNAUTHENTICATED
        # A CA of ours that is no root vouches for nothing.
        servers = next(issuer for issuer in stranger.hierarchy.issuing.values())
        assert judge([site.root], [site.root, servers.certificate], now).added == ()


def test_a_root_that_is_gone_is_dropped(doors: RunningDoors, tmp_path: Path) -> None:
    site = doors.site
    folder = identity(doors, tmp_path / "lamp", site.device("lamp-1"))
    done = over(doors, "root")
    refresh_trust(folder, SystemClock())
    told = parse_certificates(ask(doors)[2])
    gone = [each for each in told if each.subject != site.root.subject]
    found = judge(open_identity(folder).trust, gone, SystemClock().now())
    assert (found.trust, found.dropped) == ((done.new.certificate,), (site.root,))


def test_what_cannot_verify_the_home_is_not_written(doors: RunningDoors, tmp_path: Path) -> None:
    """The doors here still show a server of the old root, without what leads to the new one."""
    site = doors.site
    folder = identity(doors, tmp_path / "lamp", site.device("lamp-1"))
    over(doors, "root")
    refresh_trust(folder, SystemClock())
    for line in ("devices", "servers", "operators"):
        over(doors, line)
    for name in ("devices-1", "servers-1", "operators-1", "root-1"):
        retire(ceremony(site), name, force=name)
    tag = f'"{bundle(site).digest}"'
    until(lambda: ask(doors)[1]["etag"] == tag, "the new bundle")
    before: tuple[x509.Certificate, ...] = open_identity(folder).trust
    with pytest.raises(Fault):
        refresh_trust(folder, SystemClock())
    assert open_identity(folder).trust == before
