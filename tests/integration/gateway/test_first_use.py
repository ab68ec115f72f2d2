"""The first use of a renewed certificate at the MQTT door ends the one before; until then both let the thing in."""

from tests.fixtures.house import House, Log, name_of
from tests.fixtures.issuance import certificates
from tests.fixtures.platform import until
from tests.fixtures.renewing import renew

from troth.testing.authority import Held


def state_of(house: House, held: Held) -> str:
    (row,) = (row for row in certificates(house.site.db, name_of(held)) if row.certificate_id == held.certificate_id)
    return row.state.value


def test_both_are_good_until_the_new_one_is_used(house: House, log: Log) -> None:
    lamp = house.thing()
    renewed = renew(house.site, lamp)
    before = house.live(lamp)
    assert (state_of(house, lamp), state_of(house, renewed)) == ("ACTIVE", "ACTIVE")
    # A handshake is not yet a use: a device tries a certificate before it goes over to it.
    house.talk(renewed).close()
    assert before.is_alive()
    after = house.live(renewed)
    # It is on record before the device hears of it: with the answer it forgets the certificate before.
    assert state_of(house, lamp) == "INACTIVE"
    assert before.is_closed()
    assert house.talk(lamp).connect(name_of(lamp)).code == 5
    assert after.is_alive()
    assert [each["certificate_id"] for each in log if each["event"] == "renewal.settled"] == [renewed.certificate_id]


def test_who_is_not_admitted_has_used_nothing(house: House) -> None:
    lamp = house.thing()
    renewed = renew(house.site, lamp)
    assert house.talk(renewed).connect("somebody-else").code == 5
    twin = house.thing()
    house.live(renew(house.site, twin))
    until(lambda: state_of(house, twin) == "INACTIVE", "the end of the twin's old certificate")
    assert state_of(house, lamp) == "ACTIVE"
