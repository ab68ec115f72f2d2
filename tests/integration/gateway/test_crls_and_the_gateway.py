"""The gateway decides from the registry: no CRL that is missing or expired locks anybody out, or lets anybody in."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import ACTOR, House, Log, name_of

from troth.app.wiring.door import open_crl_door
from troth.authority.revoke import revoke_issuer
from troth.authority.status.publish import scopes_of
from troth.authority.status.stored import CRLKind, Scope, find_crl
from troth.gateway.mqtt.upstream import Broker
from troth.journal.change import change
from troth.registry.states import hold, release
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.testing.clock import FakeClock
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose


@pytest.fixture
def alone(tmp_path: Path, nats_broker: Broker) -> Iterator[House]:
    """A house of a site that a test may spoil."""
    with TestAuthority(tmp_path) as site:
        gateway = RunningGateway(site, nats_broker)
        house = House(gateway, nats_broker)
        yield house
        house.close()
        gateway.close()


def test_expired_crls_lock_nobody_out(alone: House, log: Log) -> None:
    site = alone.site
    devices = site.hierarchy.issuing[Purpose.DEVICES]
    a_month_ago = FakeClock(site.clock.now() - timedelta(days=30))
    door = open_crl_door(site.db, site.cabinet, site.public_url)
    door.publish(site.db, a_month_ago, ACTOR, devices, scopes_of(devices))
    with read(site.db) as connection:
        crl = find_crl(connection, Scope(devices.issuer_id, None), CRLKind.COMPLETE)
    assert crl is not None
    assert crl.next_update < site.clock.now()
    lamp, lost = alone.thing(), alone.thing()
    assert alone.live(lamp).is_alive()
    # And what is not on them, because they are old, is refused all the same.
    talk = alone.live(lost)
    site.revoke(lost)
    assert talk.is_closed()
    again = alone.talk(lost)
    assert again.connect(name_of(lost)).code == 5
    assert [each["reason"] for each in log.of(again, "connection.refused")] == ["certificate-revoked"]


def test_a_hold_is_felt_at_once_and_so_is_its_end(alone: House, log: Log) -> None:
    site, lamp = alone.site, alone.thing()
    talk = alone.live(lamp)
    with change(site.db, site.clock, ACTOR) as changing:
        hold(changing, lamp.certificate_id)
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["certificate-inactive"]
    assert alone.talk(lamp).connect(name_of(lamp)).code == 5
    with change(site.db, site.clock, ACTOR) as changing:
        release(changing, lamp.certificate_id)
    assert alone.live(lamp).is_alive()


def test_with_a_ca_goes_everything_below_it(alone: House, log: Log) -> None:
    site, lamps = alone.site, [alone.thing(), alone.thing()]
    talks = [alone.live(lamp) for lamp in lamps]
    with change(site.db, site.clock, ACTOR) as changing:
        revoke_issuer(changing, site.hierarchy.issuing[Purpose.DEVICES], Reason.CA_COMPROMISE)
    for talk in talks:
        assert talk.is_closed()
        assert [each["reason"] for each in log.of(talk, "session.closed")] == ["wrong-issuer"]
    again = alone.talk(lamps[0])
    assert again.connect(name_of(lamps[0])).code == 5
    assert [each["reason"] for each in log.of(again, "connection.refused")] == ["wrong-issuer"]
