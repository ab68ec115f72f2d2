"""A retired CA's devices are out at once, and no others; a new CA's are let in by a gateway that goes on running."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import ACTOR, House, Log, name_of

from troth.authority.ceremony import Ceremony
from troth.authority.rollover import retire, roll_over
from troth.gateway.mqtt.upstream import Broker
from troth.registry.issuers import list_issuers
from troth.store.read import read
from troth.testing.authority import TestAuthority
from troth.tls.server import ClientAuth, ServerTLS
from troth.x509.profiles import Purpose


@pytest.fixture
def own_house(tmp_path: Path, nats_broker: Broker) -> Iterator[House]:
    """A house with a site and a gateway of its own, whose CAs it may roll over."""
    with TestAuthority(tmp_path) as site:
        gateway = RunningGateway(site, nats_broker)
        house = House(gateway, nats_broker)
        yield house
        house.close()
        gateway.close()


def ceremony(site: TestAuthority) -> Ceremony:
    return Ceremony(site.db, site.clock, site.public_url, site.cabinet, ACTOR)


async def show(house: House) -> None:
    """Let the gateway demand what is so now, as its process does when the journal tells of issuers."""
    site = house.site
    with read(site.db) as connection:
        anchors = [each for each in list_issuers(connection) if each.purpose is Purpose.DEVICES and each.is_trusted]
    certificates = tuple(each.certificate for each in anchors)
    house.gateway.gateway.show(ServerTLS(site.server().server_identity, certificates, ClientAuth.REQUIRED))


def test_a_new_cas_devices_are_let_in_and_nobody_is_thrown_out(own_house: House) -> None:
    before = own_house.thing()
    talk = own_house.live(before)
    roll_over(ceremony(own_house.site), site="home.example", line="devices", names=())
    after = own_house.thing()
    assert after.certificate.issuer != before.certificate.issuer
    with pytest.raises(ssl.SSLError, match="unknown ca"):
        own_house.live(after)
    own_house.gateway.run(show(own_house))
    assert own_house.live(after).is_alive()
    assert talk.is_alive()
    # The old one's are let in as before.
    assert own_house.live(before).is_alive()


def test_a_retired_cas_devices_are_out(own_house: House, log: Log) -> None:
    lamp = own_house.thing()
    talk, second = own_house.live(lamp), own_house.talk(lamp)
    roll_over(ceremony(own_house.site), site="home.example", line="devices", names=())
    own_house.gateway.run(show(own_house))
    twin = own_house.live(own_house.thing())
    # The old one's certificates stay good until it is retired.
    own_house.gateway.settle()
    assert talk.is_alive()
    retire(ceremony(own_house.site), "devices-1", force="devices-1")
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "session.closed")] == ["wrong-issuer"]
    # Also through a connection whose handshake was done before.
    assert second.connect(name_of(lamp)).code == 5
    assert [each["reason"] for each in log.of(second, "connection.refused")] == ["wrong-issuer"]
    assert twin.is_alive()
