"""Who comes and goes is told on topics of AWS's, to whom policy lets listen, and by nobody but the gateway."""

import json
from typing import Any

from tests.fixtures.house import House, Log, name_of
from tests.fixtures.mqtt import Talk, allow

from troth.journal.change import change
from troth.protocols.mqtt import Disconnect, Unsuback, Unsubscribe, Will, build_publish
from troth.registry.kicks import kick
from troth.registry.sessions import Which, list_sessions
from troth.store.read import read
from troth.testing.authority import Held

LISTENS = allow(["iot:Connect", "iot:Subscribe"], "*")


def listener(house: House, about: str, *more: dict[str, object]) -> Talk:
    """Return a consumer that hears all events about one client."""
    talk = house.live(house.thing(LISTENS, *(more or [allow("iot:Receive", "topic/$aws/events/*")])))
    assert talk.subscribe(f"$aws/events/presence/+/{about}", f"$aws/events/subscriptions/+/{about}", qos=1) == (1, 1)
    return talk


def told(talk: Talk) -> tuple[str, dict[str, Any]]:
    topic, payload = talk.message()
    assert topic.startswith("$aws/events/")
    return topic.removeprefix("$aws/events/"), json.loads(payload)


def kicked(house: House, which: Which, *, sends_will: bool = True) -> None:
    with change(house.site.db, house.site.clock, "operator:test") as changing:
        kick(changing, which, sends_will=sends_will)


def watched(house: House) -> tuple[Held, Talk, Talk]:
    """Return a device, its connection, and a consumer that has heard of it."""
    lamp = house.thing()
    consumer = listener(house, name_of(lamp))
    talk = house.live(lamp)
    assert told(consumer)[1]["eventType"] == "connected"
    return lamp, talk, consumer


def test_a_life_is_told_with_the_fields_of_aws(house: House) -> None:
    lamp = house.thing()
    name = name_of(lamp)
    consumer = listener(house, name)
    talk = house.live(lamp)
    topic, first = told(consumer)
    assert topic == f"presence/connected/{name}"
    assert first == {
        "clientId": name,
        "thingName": name,
        "timestamp": first["timestamp"],
        "eventType": "connected",
        "sessionIdentifier": first["sessionIdentifier"],
        "principalIdentifier": lamp.certificate_id,
        "ipAddress": "127.0.0.1",
        "versionNumber": first["versionNumber"],
    }
    assert talk.subscribe(f"home/{name}/a", f"home/{name}/b/#", "forbidden") == (0, 0, 0x80)
    topic, said = told(consumer)
    assert (topic, said["topics"]) == (f"subscriptions/subscribed/{name}", [f"home/{name}/a", f"home/{name}/b/#"])
    talk.send(Unsubscribe(9, (f"home/{name}/a",)))
    talk.expect(Unsuback)
    topic, said = told(consumer)
    assert (topic, said["topics"]) == (f"subscriptions/unsubscribed/{name}", [f"home/{name}/a"])
    talk.send(Disconnect())
    topic, last = told(consumer)
    assert (topic, last["disconnectReason"], last["clientInitiatedDisconnect"]) == (
        f"presence/disconnected/{name}",
        "CLIENT_INITIATED_DISCONNECT",
        True,
    )
    assert last["versionNumber"] == first["versionNumber"]
    assert last["sessionIdentifier"] == first["sessionIdentifier"]
    assert "ipAddress" not in last
    # Whoever comes again is another connection, and a later one.
    house.live(lamp)
    _, again = told(consumer)
    assert again["versionNumber"] > first["versionNumber"]
    assert again["sessionIdentifier"] != first["sessionIdentifier"]


def test_why_a_session_ended_is_told_in_words_of_aws(house: House) -> None:
    lamp, talk, consumer = watched(house)
    name = name_of(lamp)
    talk.close()
    assert told(consumer)[1]["disconnectReason"] == "CONNECTION_LOST"
    talk = house.live(lamp)
    assert told(consumer)[1]["eventType"] == "connected"
    talk.send(build_publish("not/mine", b"x"))
    assert told(consumer)[1]["disconnectReason"] == "AUTH_ERROR"
    talk = house.live(lamp)
    assert told(consumer)[1]["eventType"] == "connected"
    house.site.revoke(lamp)
    assert talk.is_closed()
    assert told(consumer)[1]["disconnectReason"] == "AUTH_ERROR"
    # Whose certificate is refused is nobody, whatever client id it claims.
    assert house.talk(lamp).connect(name).code == 5
    assert consumer.no_message()


def test_a_connect_that_policy_refuses_is_told(house: House) -> None:
    lamp = house.thing()
    consumer = listener(house, f"not-{name_of(lamp)}")
    assert house.talk(lamp).connect(f"not-{name_of(lamp)}").code == 5
    topic, said = told(consumer)
    assert (topic, said["connectFailureReason"]) == (
        f"presence/connect_failed/not-{name_of(lamp)}",
        "AUTHORIZATION_FAILED",
    )
    assert (said["principalIdentifier"], said["ipAddress"]) == (lamp.certificate_id, "127.0.0.1")


def test_events_are_heard_by_whom_policy_lets_and_no_other(house: House) -> None:
    lamp = house.thing()
    name = name_of(lamp)
    deaf = listener(house, name, allow("iot:Receive", "topic/home/*"))
    mute = house.live(house.thing())
    assert mute.subscribe(f"$aws/events/presence/connected/{name}") == (0x80,)
    consumer = listener(house, name)
    house.live(lamp)
    assert told(consumer)[1]["eventType"] == "connected"
    assert deaf.no_message()
    assert mute.no_message()


def test_no_device_can_say_who_is_connected(house: House) -> None:
    """Not even one that may publish anywhere, and not by its will."""
    lamp = house.thing()
    name = name_of(lamp)
    consumer = listener(house, name)
    forger = house.thing(allow("iot:*", "*"))
    for topic in (f"$aws/events/presence/connected/{name}", "$aws/events/presence/connected", "$aws/events"):
        talk = house.live(forger)
        talk.send(build_publish(topic, b'{"clientId": "forged"}', qos=1, packet_id=1))
        assert talk.is_closed()
        will = Will(topic, b'{"clientId": "forged"}')
        assert house.talk(forger).connect(name_of(forger), will=will).code == 5
    honest = house.live(forger)
    honest.publish("home/anything", b"x", qos=1)
    house.live(lamp)
    assert told(consumer)[1]["clientId"] == name


def test_a_client_id_that_would_be_a_filter_is_not_told_of(house: House) -> None:
    consumer = house.live(house.thing(allow("iot:*", "*")))
    assert consumer.subscribe("$aws/events/presence/#", qos=1) == (1,)
    anyone = house.thing(allow("iot:*", "*"))
    for client_id in ("a+b", "#", "plain/name"):
        talk = house.talk(anyone)
        assert talk.connect(client_id).code == 0
        talk.send(Disconnect())
        assert talk.is_closed()
    own = {name_of(anyone), "a+b", "#", "plain/name"}
    heard = [said["clientId"] for said in (told(consumer)[1] for _ in range(2)) if said["clientId"] in own]
    while len(heard) < 2:
        heard += [said["clientId"] for said in [told(consumer)[1]] if said["clientId"] in own]
    assert heard == ["plain/name", "plain/name"]


def test_a_kick_ends_whom_it_means_and_they_may_come_again(house: House, log: Log) -> None:
    lamp, talk, consumer = watched(house)
    name = name_of(lamp)
    neighbour = house.live(house.thing())
    kicked(house, Which(client_id=name))
    assert talk.is_closed()
    assert neighbour.is_alive()
    assert told(consumer)[1]["disconnectReason"] == "API_INITIATED_DISCONNECT"
    (closed,) = log.of(talk, "session.closed")
    assert closed["reason"] == "kicked"
    again = house.live(lamp)
    assert again.is_alive()
    house.gateway.flush()
    with read(house.site.db) as connection:
        (row,) = list_sessions(connection, house.site.clock.now(), Which(client_id=name))
    assert row.address == again.address


def test_a_kick_sends_the_will_or_does_not(house: House) -> None:
    lamp = house.thing()
    name = name_of(lamp)
    topic = f"home/{name}/gone"
    spy = house.spy(topic)
    for sends_will in (False, True):
        talk = house.live(lamp, will=Will(topic, f"{sends_will}".encode()))
        kicked(house, Which(thing=name), sends_will=sends_will)
        assert talk.is_closed()
        house.gateway.settle()
    # The first would have come before the second.
    assert spy.message() == (topic, b"True")


def test_who_comes_again_takes_the_place_of_the_one_before(house: House) -> None:
    lamp, older, consumer = watched(house)
    house.live(lamp)
    assert older.is_closed()
    heard = {told(consumer)[1].get("disconnectReason", "connected") for _ in range(2)}
    assert heard == {"DUPLICATE_CLIENTID", "connected"}
