"""Every reason has words in either version, and they are words that its packet may say."""

import pytest
from tests.unit.gateway.mqtt.wires import Wire

from troth.gateway.mqtt.voice import CONNACKS, DISCONNECTS, farewell, refused
from troth.gateway.refusal import THEIRS, Reason, Refusal
from troth.protocols.mqtt import Connack, Disconnect, Packet, PacketType, Reader, ReasonCode, Role, Version
from troth.protocols.mqtt.reason_codes import CODES

ACCEPTED = bytes.fromhex("2003000000")


def heard(wire: Wire, version: Version, before: bytes = b"") -> list[Packet]:
    packets = Reader(1024, Role.CLIENT, version).feed(before + b"".join(wire.writes))
    return packets[1:] if before else packets


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_told(reason: Reason) -> None:
    assert CONNACKS[reason] in CODES[PacketType.CONNACK]
    assert CONNACKS[reason] >= ReasonCode.UNSPECIFIED_ERROR
    wire, refusal = Wire(), Refusal(reason, action="iot:Connect", resource="client/x")
    refused(wire, Version.MQTT_5, refusal, None)
    assert heard(wire, Version.MQTT_5) == [Connack(CONNACKS[reason])]
    # A better word, where the packet may say it.
    wire = Wire()
    refused(wire, Version.MQTT_5, refusal, ReasonCode.MALFORMED_PACKET)
    refused(wire, Version.MQTT_5, refusal, ReasonCode.TOPIC_ALIAS_INVALID)
    assert b"".join(wire.writes) == bytes((0x20, 3, 0, 0x81, 0, 0x20, 3, 0, CONNACKS[reason], 0))
    wire = Wire()
    refused(wire, Version.MQTT_3_1_1, refusal, None)
    assert all(isinstance(each, Connack) and each.code for each in heard(wire, Version.MQTT_3_1_1))
    wire = Wire()
    refused(wire, Version.MQTT_3_1_1, refusal, None, aws=True)
    assert wire.writes == []


@pytest.mark.parametrize("reason", Reason)
def test_a_farewell_is_said(reason: Reason) -> None:
    wire = Wire()
    farewell(wire, Version.MQTT_5, reason, None)
    said = DISCONNECTS[reason]
    assert (said is None) is (reason in THEIRS)
    assert heard(wire, Version.MQTT_5, ACCEPTED) == ([] if said is None else [Disconnect(said)])
    wire = Wire()
    farewell(wire, Version.MQTT_3_1_1, reason, None)
    assert wire.writes == []


def test_what_brings_devices_back_or_keeps_them_away_is_told_apart() -> None:
    expected = {
        Reason.KICKED: 0x98,
        Reason.TAKEN_OVER: 0x8E,
        Reason.SHUTDOWN: 0x8B,
        Reason.KEEP_ALIVE: 0x8D,
        Reason.SLOW_READER: 0x97,
        Reason.CERTIFICATE_REVOKED: 0x87,
        Reason.CONNECT_DENIED: 0x87,
        Reason.OWNER_CHANGED: 0x87,
        Reason.RECEIVE_MAXIMUM: 0x93,
        Reason.PACKET_TOO_LARGE: 0x95,
        Reason.QOS_REFUSED: 0x9B,
    }
    assert {reason: DISCONNECTS[reason] for reason in expected} == expected
