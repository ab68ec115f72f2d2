"""What a device shows to its neighbours comes from its home, for what it is there, and opens no door of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.doors import RunningDoors
from tests.fixtures.issuance import certificates
from tests.fixtures.strangers import enrollment

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import roll_over
from troth.device.connection import ConnectionFault, Credential
from troth.device.endpoint import Address, Endpoint
from troth.device.est import ESTServer
from troth.device.identity import Settings, write_settings, write_trust
from troth.device.peer import renew_peer
from troth.device.recognition import Expected, recognise
from troth.device.slots import Slot, Slots
from troth.errors import Fault, Kind
from troth.registry.attachments import list_things_of
from troth.store.read import read
from troth.testing.authority import ACTOR, Held, TestAuthority
from troth.x509.certificates import certificate_id
from troth.x509.profiles import ExtendedUse, Purpose

PEERS = 'name = "peers"\nprofile = "peer"\nproofs = ["certificate"]\n'


@pytest.fixture
def doors(live_authority: TestAuthority, tmp_path: Path) -> Iterator[RunningDoors]:
    """The site's HTTP doors; its authority has a CA for peers."""
    live_authority.issuer(Purpose.PEERS)
    running = RunningDoors(live_authority, tmp_path / "bell")
    yield running
    running.close()


def an_identity(site: TestAuthority, doors: RunningDoors, held: Held, path: Path) -> Path:
    slots, address = Slots(path), Address("localhost", doors.https)
    path.mkdir(mode=0o700)
    slot = Slot(path / "a")
    slot.make()
    for file, written in ((slot.key_file, held.key_file), (slot.chain_file, held.chain_file)):
        file.write_bytes(written.read_bytes())
    write_trust(path, [site.root])
    write_settings(path, Settings("lamp-1", Endpoint(address, address)))
    slots.switch(slot)
    return path


def test_a_device_gets_it_by_what_it_is_at_home_and_only_while_it_is(
    live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path
) -> None:
    site, held = live_authority, live_authority.device("lamp-1")
    path = an_identity(site, doors, held, tmp_path / "lamp")
    with pytest.raises(Fault) as caught:
        renew_peer(path, site.clock)
    assert caught.value.kind is Kind.NOT_FOUND
    enrollment(site, PEERS)
    first, second = renew_peer(path, site.clock), renew_peer(path, site.clock)
    rows = {row.certificate_id: row for row in certificates(site.db, "lamp-1")}
    shown = [rows[certificate_id(each.certificate)] for each in (first, second)]
    assert [(row.thing, row.profile, row.state) for row in shown] == [("lamp-1", "peer", "ACTIVE")] * 2
    assert rows[held.certificate_id].state == "ACTIVE"
    with read(site.db) as connection:
        # A principal is what policies are decided for; this is none.
        attached = [list_things_of(connection, each) for each in (shown[0].certificate_id, held.certificate_id)]
    assert [len(each) for each in attached] == [0, 1]
    site.revoke(held)
    with pytest.raises(Fault) as caught:
        renew_peer(path, site.clock)
    assert caught.value.kind is Kind.UNAUTHENTICATED
    # What was given before is good until its end: between neighbours nobody can say otherwise.
    expected, at = Expected(("lamp-1",)), site.clock.now()
    assert recognise(second.chain, [site.root], expected, use=ExtendedUse.SERVER_AUTH, at=at) == "lamp-1"
    end = second.certificate.not_valid_after_utc
    assert (end - at).total_seconds() <= 24 * 3600
    with pytest.raises(Fault, match="has expired"):
        recognise(second.chain, [site.root], expected, use=ExtendedUse.SERVER_AUTH, at=end.replace(year=end.year + 1))


def test_during_a_rollover_neighbours_know_each_other_by_either_root(
    live_authority: TestAuthority, tmp_path: Path
) -> None:
    """One has heard of the new root already, and shows what leads from the old one to it."""
    site, held = live_authority, live_authority.device("lamp-1")
    site.issuer(Purpose.PEERS)
    ceremony = Ceremony(site.db, site.clock, site.public_url, site.cabinet, ACTOR)
    new = roll_over(ceremony, site="home.example", line="root", names=()).new
    roll_over(ceremony, site="home.example", line="peers", names=())
    enrollment(site, PEERS)
    running = RunningDoors(site, tmp_path / "bell")
    try:
        path = an_identity(site, running, held, tmp_path / "lamp")
        write_trust(path, [new.certificate, site.root])
        peer = renew_peer(path, site.clock)
    finally:
        running.close()
    assert peer.chain[1].issuer == new.certificate.subject
    expected, at = Expected(("lamp-1",)), site.clock.now()
    for trusted in ([site.root], [new.certificate], [site.root, new.certificate]):
        assert recognise(peer.chain, trusted, expected, use=ExtendedUse.CLIENT_AUTH, at=at) == "lamp-1"


def test_it_opens_no_door_at_home(live_authority: TestAuthority, doors: RunningDoors, tmp_path: Path) -> None:
    site, held = live_authority, live_authority.device("lamp-1")
    enrollment(site, PEERS)
    path = an_identity(site, doors, held, tmp_path / "lamp")
    peer = renew_peer(path, site.clock)
    server = ESTServer(Address("localhost", doors.https), "localhost", (site.root,))

    def asks(own: Credential) -> str | None:
        try:
            server.renewal_info(own)
        except ConnectionFault as fault:
            return fault.refusal.alert
        return None

    assert asks(peer.slot) == "unknown_ca"
    assert asks(Slot(path / "a")) is None
