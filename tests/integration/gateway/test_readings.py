"""Signed readings at the gateway: each way to cheat beside the honest reading of the same device."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.fixtures.house import OWN, House, Log, name_of
from tests.fixtures.mqtt import deny

from troth.evidence.reading import Reading, sign_reading
from troth.gateway.readings import Readings
from troth.journal.change import change
from troth.protocols.mqtt import Puback, Version, Will, build_publish
from troth.registry.replay import find_windows
from troth.registry.states import deactivate, supersede
from troth.store.read import read
from troth.testing.authority import Held

SIGNED_ONLY = deny("iot:Publish", "topic/home/*/power") | {"Condition": {"Bool": {"troth:MessageSigned": "false"}}}
RULES = (*OWN, SIGNED_ONLY)


def power(held: Held) -> str:
    return f"home/{name_of(held)}/power"


def reading(house: House, held: Held, number: int = 1, payload: bytes = b"412 W", **changes: Any) -> bytes:
    """Return what an honest device sends, but for `changes`."""
    said = Reading(
        bytes.fromhex(held.certificate_id), name_of(held), power(held), house.site.clock.now(), number, payload
    )
    return sign_reading(replace(said, **changes), held.key)


def test_a_signed_reading_passes_and_an_unsigned_one_does_not(house: House, log: Log) -> None:
    meter = house.thing(*RULES)
    spy = house.spy(power(meter))
    talk = house.live(meter)
    signed = reading(house, meter)
    talk.publish(power(meter), signed, qos=1)
    assert spy.message() == (power(meter), signed)
    talk.publish(f"home/{name_of(meter)}/light", b"unsigned, where nobody asks", qos=1)
    talk.send(build_publish(power(meter), b"412 W"))
    assert talk.is_closed()
    (event,) = log.of(talk, "publish.denied")
    assert event["reason"] == "reading-unsigned"
    assert "the payload is no signed reading" in event["detail"]
    assert "denied by statement" in event["detail"]
    assert spy.no_message()


@pytest.mark.parametrize("version", list(Version))
def test_each_way_to_cheat_is_named_and_stopped(house: House, log: Log, version: Version) -> None:
    dropping = house.gateway_with(drops_denied=True)
    meter, other = house.thing(*RULES), house.thing(*RULES)
    spy = house.spy(power(meter))
    talk = house.live(meter, dropping, version)
    first = reading(house, meter, 4)
    cheats = {
        "reading-replayed": first,
        "reading-reordered": reading(house, meter, 3),
        "reading-altered": reading(house, meter, 6).replace(b"412", b"999"),
        "reading-malformed": reading(house, meter, 6) + b"\x00",
        "reading-moved-topic": reading(house, meter, 6, topic="home/hall/power"),
        "reading-moved-thing": reading(house, meter, 6, thing=name_of(other)),
        "reading-wrong-key": reading(house, meter, 6, key_id=bytes(32)),
        "reading-outside-validity": reading(house, meter, 6, at=meter.certificate.not_valid_before_utc - timedelta(1)),
        "reading-ahead-of-time": reading(house, meter, 6, at=house.site.clock.now() + timedelta(hours=1)),
    }
    talk.publish(power(meter), first, qos=1)
    for cheat in cheats.values():
        talk.send(talk.build(power(meter), cheat))
    talk.send(talk.build(power(meter), reading(house, other)))
    last = reading(house, meter, 6)
    talk.publish(power(meter), last, qos=1)
    assert [spy.message(), spy.message()] == [(power(meter), first), (power(meter), last)]
    assert [each["reason"] for each in log.of(talk, "publish.denied")] == [*cheats, "reading-moved-thing"]
    # Number 5 never came, and the log says so once it is sent.
    dropping.run(dropping.gateway.readings.flush())
    (missing,) = [each for each in log if each["event"] == "readings.missing"]
    assert (missing["certificate_id"], missing["count"]) == (meter.certificate_id, 1)


def test_what_was_sent_again_since_nobody_answered_passes_again(house: House) -> None:
    meter = house.thing(*RULES)
    spy = house.spy(power(meter))
    signed = reading(house, meter)
    house.live(meter).publish(power(meter), signed, qos=1)
    talk = house.live(meter)
    talk.send(build_publish(power(meter), signed, qos=1, packet_id=7, dup=True))
    assert talk.expect(Puback) == Puback(7)
    assert [spy.message(), spy.message()] == 2 * [(power(meter), signed)]
    talk.send(build_publish(power(meter), signed, qos=1, packet_id=8))
    assert talk.is_closed()


def test_a_replay_is_known_at_another_worker_and_after_a_restart(house: House, log: Log) -> None:
    meter = house.thing(*RULES)
    signed = reading(house, meter, 9)
    with house.live(meter) as talk:
        talk.publish(power(meter), signed, qos=1)
    # The session's end has it sent; no clock is waited for.
    house.gateway.run(house.gateway.gateway.readings.flush())
    with read(house.site.db) as connection:
        assert find_windows(connection, [meter.certificate_id])[meter.certificate_id].highest == 9
    elsewhere = house.gateway_with()
    talk = house.live(meter, elsewhere)
    talk.send(build_publish(power(meter), signed))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "publish.denied")] == ["reading-replayed"]
    house.live(meter, elsewhere).publish(power(meter), reading(house, meter, 10), qos=1)


def test_a_key_that_was_revoked_or_put_out_counts_from_that_moment(house: House, log: Log) -> None:
    """One thing, two certificates: the second one's session sends what the first one's key has signed."""
    new = house.thing(*RULES)
    old = house.site.device(name_of(new))
    spy = house.spy(power(new))
    talk = house.live(new, house.gateway_with(drops_denied=True))
    waiting = [reading(house, old, number) for number in range(1, 5)]
    talk.publish(power(new), waiting[0], qos=1)
    assert spy.message() == (power(new), waiting[0])
    with change(house.site.db, house.site.clock, "operator:test") as changing:
        supersede(changing, old.certificate_id, by=new.certificate_id)
    _settled(house, talk)
    # What it signed before it was replaced still counts.
    talk.publish(power(new), waiting[1], qos=1)
    assert spy.message() == (power(new), waiting[1])
    house.site.revoke(old)
    _settled(house, talk)
    talk.publish(power(new), waiting[2], qos=1)
    mine = reading(house, new)
    talk.publish(power(new), mine, qos=1)
    assert spy.message() == (power(new), mine)
    assert [each["reason"] for each in log.of(talk, "publish.denied")] == ["reading-revoked-key"]


def test_a_policy_that_begins_to_ask_reaches_a_live_session(house: House, log: Log) -> None:
    meter = house.thing()
    talk = house.live(meter)
    talk.publish(power(meter), b"unsigned", qos=1)
    house.allow(name_of(meter), SIGNED_ONLY)
    # The keys are looked up when the session has heard of it: a reading that came before would be nobody's.
    house.gateway.run(_opened(house.gateway.gateway.readings, meter.certificate_id))
    talk.publish(power(meter), reading(house, meter), qos=1)
    talk.send(build_publish(power(meter), b"unsigned"))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "publish.denied")] == ["reading-unsigned"]


def test_a_will_is_no_reading(house: House) -> None:
    meter = house.thing(*RULES)
    talk = house.talk(meter)
    will = Will(power(meter), reading(house, meter), qos=0, retain=False)
    assert talk.connect(name_of(meter), will=will).code != 0
    assert house.live(meter, will=replace(will, topic=f"home/{name_of(meter)}/gone")).is_alive()


async def _opened(readings: Readings, certificate_id: str) -> None:
    async with asyncio.timeout(10):
        while not readings.is_open(certificate_id):  # noqa: ASYNC110 - nothing in the product waits for this
            await asyncio.sleep(0.005)


def _settled(house: House, talk: Any) -> None:
    for gateway in house._gateways or [house.gateway]:
        gateway.settle()
        gateway.run(gateway.gateway.readings.renew())
    assert talk.is_alive()


def test_one_that_is_deactivated_counts_no_more(house: House, log: Log) -> None:
    new = house.thing(*RULES)
    old = house.site.device(name_of(new))
    talk = house.live(new)
    with change(house.site.db, house.site.clock, "operator:test") as changing:
        deactivate(changing, old.certificate_id)
    house.gateway.settle()
    talk.send(build_publish(power(new), reading(house, old)))
    assert talk.is_closed()
    assert [each["reason"] for each in log.of(talk, "publish.denied")] == ["reading-inactive-key"]
