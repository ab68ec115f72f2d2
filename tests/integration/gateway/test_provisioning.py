"""Fleet provisioning over MQTT, by clients that other people have written, and what neighbours hear of it: nothing."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from tests.fixtures.gateways import RunningGateway
from tests.fixtures.house import House, Log, name_of
from tests.fixtures.issuance import certificates
from tests.fixtures.mqtt import Talk, allow, policy
from tests.fixtures.provisioning import csr
from tests.fixtures.templates import new_template

from troth.gateway.mqtt.upstream import Broker
from troth.journal.change import change
from troth.keys.file import FileKey, generate
from troth.limits import PROVISIONING_BYTES_MAX, PROVISIONING_WAITING_MAX
from troth.protocols.provisioning import (
    Created,
    Format,
    Registered,
    Registration,
    Rejection,
    parse_created,
    parse_registered,
    parse_rejection,
    render_create_from_csr,
    render_registration,
)
from troth.registry.certificates import CertificateState
from troth.registry.policies import attach_policy, create_policy
from troth.registry.states import revoke
from troth.testing.authority import Held, TestAuthority
from troth.x509.algorithms import KeyAlgorithm
from troth.x509.crl import Reason
from troth.x509.profiles import Purpose

T = "lamps"
CLAIM_POLICY = (
    allow("iot:Connect", "client/factory-*"),
    allow(
        ["iot:Publish", "iot:Receive"],
        "topic/$aws/certificates/create/*",
        "topic/$aws/certificates/create-from-csr/*",
        f"topic/$aws/provisioning-templates/{T}/provision/*",
    ),
    allow(
        "iot:Subscribe",
        "topicfilter/$aws/certificates/create/*",
        "topicfilter/$aws/certificates/create-from-csr/*",
        f"topicfilter/$aws/provisioning-templates/{T}/provision/*",
    ),
)
"""What AWS's guide gives a claim certificate, and its own key too."""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def provisioning(site: TestAuthority, broker: Broker) -> Iterator[RunningGateway]:
    """A gateway that provisions, in front of each kind of broker."""
    running = RunningGateway(site, broker, provisions=True)
    yield running
    running.close()


@pytest.fixture(scope="module")
def template(site: TestAuthority) -> str:
    """The template's name; both kinds of broker share the site."""
    with site.db.engine.connect() as connection:
        there = connection.exec_driver_sql("SELECT 1 FROM templates WHERE name = 'lamps'").first()
    if there is None:
        new_template(site, T, server_keys=True)
    return T


@pytest.fixture
def plant(provisioning: RunningGateway, broker: Broker, template: str) -> Iterator[House]:
    """Where devices are made."""
    made = House(provisioning, broker)
    yield made
    made.close()


@pytest.fixture(scope="module")
def claim(site: TestAuthority, provisioning: RunningGateway) -> Held:
    """The claim certificate that a whole batch shares."""
    held = site._issue("claim", Purpose.DEVICES, "batch", None, None, name="batch")
    with change(site.db, site.clock, "operator:anna") as changing:
        name = f"claim-{next(_numbers)}"
        create_policy(changing, name, policy(*CLAIM_POLICY))
        attach_policy(changing, name, certificate_id=held.certificate_id)
    provisioning.settle()
    return held


def topics(form: Format = Format.JSON) -> tuple[str, str, str]:
    names = (
        "$aws/certificates/create/",
        "$aws/certificates/create-from-csr/",
        f"$aws/provisioning-templates/{T}/provision/",
    )
    create, from_csr, provision = (name + form for name in names)
    return create, from_csr, provision


def claimant(plant: House, claim: Held, form: Format = Format.JSON) -> Talk:
    """Return a live connection under the claim certificate that listens for every answer."""
    talk = plant.talk(claim)
    assert talk.connect(f"factory-{next(_numbers)}").code == 0
    filters = [f"{each}/{end}" for each in topics(form) for end in ("accepted", "rejected")]
    assert talk.subscribe(*filters) == (0,) * 6
    return talk


def ask(talk: Talk, topic: str, payload: bytes, qos: int = 1) -> tuple[str, bytes]:
    """Publish a request; return the last level of the answer's topic, and the answer."""
    talk.publish(topic, payload, qos=qos)
    name, answer = talk.message()
    assert name.rpartition("/")[0] == topic
    return name.rpartition("/")[2], answer


def held_by(plant: House, key: FileKey, created: Created) -> Held:
    """Return what the device has in the end."""
    certificate = x509.load_pem_x509_certificate(created.certificate_pem.encode())
    return plant.site._write(certificate, Purpose.DEVICES, key)


@pytest.mark.parametrize("form", list(Format))
def test_from_a_request_to_a_thing_that_is_let_in(plant: House, claim: Held, form: Format, log: Log) -> None:
    key, serial = generate(KeyAlgorithm.P256), f"s{next(_numbers)}"
    talk = claimant(plant, claim, form)
    _, from_csr, provision = topics(form)
    end, answer = ask(talk, from_csr, render_create_from_csr(form, csr(key).decode()))
    assert end == "accepted", answer
    created = parse_created(form, answer)
    assert created.private_key is None
    held = held_by(plant, key, created)
    # Before it is a thing, it is nobody.
    refused = plant.talk(held)
    assert refused.connect(f"lamp-{serial}").code != 0
    asked = Registration(created.token, {"Serial": serial, "Place": "hall"})
    end, answer = ask(talk, provision, render_registration(form, asked))
    assert end == "accepted", answer
    registered = parse_registered(form, answer)
    assert registered == Registered(f"lamp-{serial}", {"Place": "hall", "Greeting": f"hello {serial}"})
    plant.gateway.settle()
    device = plant.talk(held)
    assert device.connect(registered.thing).code == 0
    device.publish(f"home/{registered.thing}/state", b"on", qos=1)
    assert [each["thing"] for each in log.of(talk, "provisioning.granted") if "thing" in each] == [registered.thing]
    shown = json.dumps(log, default=str)
    assert created.token not in shown


def test_a_key_goes_to_the_one_who_asked_and_to_nobody_else(plant: House, claim: Held) -> None:
    """A neighbour with the same claim policy, on the same topics; and one who is on the broker itself."""
    spies = [plant.spy("#"), plant.spy("$aws/certificates/#", "$aws/provisioning-templates/#")]
    neighbour, asker = claimant(plant, claim), claimant(plant, claim)
    create, _, _ = topics()
    end, answer = ask(asker, create, b"{}")
    assert end == "accepted", answer
    created = parse_created(Format.JSON, answer)
    assert created.private_key is not None
    assert "PRIVATE KEY" in created.private_key
    assert neighbour.no_message()
    assert spies[1].no_message()
    # What does go over the broker, a spy hears; of all that has gone up to there, nothing was of this.
    marker = f"home/marker-{next(_numbers)}"
    plant.spy().publish(marker, b"1", qos=1)
    heard = [spies[0].message()]
    while heard[-1][0] != marker:
        heard.append(spies[0].message())
    assert not [topic for topic, _ in heard if topic.startswith("$aws")]
    assert not [payload for _, payload in heard if created.certificate_id.encode() in payload]


def test_nobody_on_the_broker_speaks_in_the_gateways_name(plant: House, claim: Held) -> None:
    talk = claimant(plant, claim)
    create, _, _ = topics()
    forger = plant.spy()
    forger.publish(f"{create}/accepted", b'{"certificateId": "forged"}', qos=1)
    assert talk.no_message()


def test_the_rights_of_the_claim_certificate_are_all_that_it_has(plant: House, claim: Held) -> None:
    talk = claimant(plant, claim)
    assert talk.subscribe("$aws/#", "home/#", "$aws/certificates/#", packet_id=9) == (0x80,) * 3
    talk.publish("$aws/provisioning-templates/other/provision/json", b"{}")
    assert talk.is_closed()


def test_a_policy_that_is_taken_away_meanwhile_counts_for_the_answer(plant: House) -> None:
    held = plant.thing(*CLAIM_POLICY[1:], allow("iot:Connect", "client/*"))
    plant.gateway.settle()
    talk = plant.live(held)
    create, _, _ = topics()
    assert talk.subscribe(f"{create}/accepted", f"{create}/rejected") == (0, 0)
    plant.allow(
        name_of(held),
        {"Effect": "Deny", "Action": "iot:Receive", "Resource": f"arn:aws:iot:local:000000000000:topic/{create}/*"},
    )
    talk.publish(create, b"{}")
    assert talk.no_message()


@pytest.mark.parametrize("form", list(Format))
def test_attacks_change_nothing_and_the_twin_succeeds(plant: House, claim: Held, form: Format) -> None:
    create, from_csr, provision = topics(form)
    talk = claimant(plant, claim, form)
    serial = f"s{next(_numbers)}"
    request = render_create_from_csr(form, csr().decode())
    end, answer = ask(talk, from_csr, request)
    token = parse_created(form, answer).token
    good = render_registration(form, Registration(token, {"Serial": serial}))
    cuts = [good[:at] for at in range(0, len(good), 3)]
    bad: list[tuple[str, bytes, int]] = [
        *((provision, each, 400) for each in cuts),
        (provision, render_registration(form, Registration(token[:-1] + "~", {"Serial": serial})), 400),
        (provision, render_registration(form, Registration(token, {})), 400),
        (provision, render_registration(form, Registration(token, {"Serial": serial, "More": "x"})), 400),
        (provision, render_registration(form, Registration(token, {"Serial": "x" * 5000})), 413),
        (provision, b"\xff" * 100, 400),
        (provision, b" " * (PROVISIONING_BYTES_MAX + 1), 413),
        (from_csr, b"", 400),
        (from_csr, request[:-20], 400),
        (from_csr, render_create_from_csr(form, "not a request"), 400),
        (create, b"\x00\x00", 400),
    ]
    for topic, payload, status in bad:
        end, answer = ask(talk, topic, payload)
        assert end == "rejected", payload
        assert parse_rejection(form, answer).status == status, (payload, answer)
    assert certificates(plant.site.db, f"lamp-{serial}") == []
    end, first = ask(talk, provision, good)
    assert end == "accepted"
    (row,) = certificates(plant.site.db, f"lamp-{serial}")
    assert row.state is CertificateState.ACTIVE
    # Once is enough; who has lost the answer gets it again.
    assert ask(talk, provision, good) == ("accepted", first)
    end, answer = ask(talk, provision, render_registration(form, Registration(token, {"Serial": f"{serial}-2"})))
    assert (end, parse_rejection(form, answer)) == (
        "rejected",
        Rejection(400, "InvalidCertificateOwnershipToken", "the certificate ownership token is not good, or no longer"),
    )


def test_a_replay_gains_nothing(plant: House, claim: Held) -> None:
    """Who has heard every byte of a flow, and has a claim certificate, too: the batch's own, or another batch's."""
    _, from_csr, provision = topics()
    key, serial = generate(KeyAlgorithm.P256), f"s{next(_numbers)}"
    request = render_create_from_csr(Format.JSON, csr(key).decode())
    honest, thief = claimant(plant, claim), claimant(plant, claim)
    created = parse_created(Format.JSON, ask(honest, from_csr, request)[1])
    registration = render_registration(Format.JSON, Registration(created.token, {"Serial": serial}))
    other = plant.thing(*CLAIM_POLICY[1:], allow("iot:Connect", "client/*"))
    plant.gateway.settle()
    stranger = plant.live(other)
    filters = [f"{each}/{end}" for each in (from_csr, provision) for end in ("accepted", "rejected")]
    assert stranger.subscribe(*filters) == (0,) * 4
    first = ask(honest, provision, registration)
    assert first[0] == "accepted"
    # Whoever has the token hears the same words; they are of the owner's certificate and thing, whose key is elsewhere.
    for talk in (honest, thief, stranger):
        assert ask(talk, provision, registration) == first
    (row,) = certificates(plant.site.db, f"lamp-{serial}")
    assert row.certificate_id == created.certificate_id
    # The request again: nobody gets that certificate for another thing, nor another one for that key and a thing.
    for talk in (thief, stranger):
        end, answer = ask(talk, from_csr, request)
        assert end == "accepted"
        again = parse_created(Format.JSON, answer)
        for name in (serial, f"{serial}-2"):
            asked = render_registration(Format.JSON, Registration(again.token, {"Serial": name}))
            end, answer = ask(talk, provision, asked)
            assert end == "rejected", answer
    assert certificates(plant.site.db, f"lamp-{serial}-2") == []
    # Once it is revoked, no word of then brings it back.
    with change(plant.site.db, plant.site.clock, "operator:anna") as changing:
        revoke(changing, created.certificate_id, Reason.KEY_COMPROMISE)
    plant.gateway.settle()
    for talk in (honest, thief, stranger):
        ask(talk, provision, registration)
        ask(talk, from_csr, request)
    (row,) = certificates(plant.site.db, f"lamp-{serial}")
    assert row.state is CertificateState.REVOKED
    assert plant.talk(held_by(plant, key, created)).connect(f"lamp-{serial}").code != 0


def test_too_many_at_a_time_are_rejected_and_the_others_answered(plant: House, claim: Held) -> None:
    talk = claimant(plant, claim)
    _, _, provision = topics()
    payload = render_registration(Format.JSON, Registration("x", {}))
    count = PROVISIONING_WAITING_MAX * 4
    for _ in range(count):
        talk.publish(provision, payload)
    said = [parse_rejection(Format.JSON, talk.message()[1]).code for _ in range(count)]
    assert set(said) <= {"Throttled", "InvalidCertificateOwnershipToken"}
    assert said.count("InvalidCertificateOwnershipToken") >= PROVISIONING_WAITING_MAX
    assert talk.is_alive()


def test_a_connection_that_ends_takes_its_requests_with_it(plant: House, claim: Held) -> None:
    talk = claimant(plant, claim)
    create, _, _ = topics()
    for _ in range(3):
        talk.publish(create, b"")
    talk.close()
    again = claimant(plant, claim)
    assert ask(again, create, b"")[0] == "accepted"


def paho_client(gateway: RunningGateway, held: Held, client_id: str) -> tuple[paho.Client, Queue[tuple[str, bytes]]]:
    """Return a connected paho client, and what it hears."""
    heard: Queue[tuple[str, bytes]] = Queue()
    connected: Queue[Any] = Queue()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id)
    client.tls_set(str(gateway.site.root_file), str(held.chain_file), str(held.key_file))
    client.on_message = lambda _client, _data, message: heard.put((message.topic, bytes(message.payload)))
    client.on_connect = lambda *said: connected.put(said)
    client.connect("localhost", gateway.port)
    client.loop_start()
    connected.get(timeout=20)
    return client, heard


def mosquitto(program: str, plant: House, own: tuple[Path, Path], client_id: str, *options: str) -> str:
    """Run one of mosquitto's clients with a certificate and its key; return what it prints."""
    where = ["-h", "localhost", "-p", str(plant.gateway.port), "--cafile", str(plant.site.root_file)]
    shown = ["--cert", str(own[0]), "--key", str(own[1]), "-i", client_id]
    command = [program, *where, *shown, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("mosquitto_pub")
def test_paho_plays_the_flow_as_the_sdk_does(plant: House, claim: Held, tmp_path: Path) -> None:
    """Subscribe to accepted and rejected of each operation, wait for the SUBACK, publish, wait for one of both."""
    client, heard = paho_client(plant.gateway, claim, f"factory-{next(_numbers)}")

    def request(topic: str, payload: bytes) -> Any:
        subscribed: Queue[Any] = Queue()
        client.on_subscribe = lambda *said: subscribed.put(said)
        client.subscribe([(f"{topic}/accepted", 1), (f"{topic}/rejected", 1)])
        subscribed.get(timeout=20)
        client.publish(topic, payload, qos=1).wait_for_publish(20)
        name, answer = heard.get(timeout=20)
        assert name == f"{topic}/accepted", answer
        return json.loads(answer)

    create, _, provision = topics()
    try:
        made = request(create, b"{}")
        assert set(made) == {"certificateId", "certificatePem", "privateKey", "certificateOwnershipToken"}
        serial = f"s{next(_numbers)}"
        asked = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"Serial": serial}}
        became = request(provision, json.dumps(asked).encode())
        assert set(became) == {"deviceConfiguration", "thingName"}
    finally:
        client.disconnect()
        client.loop_stop()
    issuer = plant.site.issuer(Purpose.DEVICES).public_bytes(Encoding.PEM).decode()
    (tmp_path / "own.pem").write_text(made["certificatePem"] + issuer)
    (tmp_path / "own.key").write_text(made["privateKey"])
    plant.gateway.settle()
    topic = f"home/{became['thingName']}/state"
    own = (tmp_path / "own.pem", tmp_path / "own.key")
    mosquitto("mosquitto_pub", plant, own, became["thingName"], "-q", "1", "-t", topic, "-m", "on")


@pytest.mark.needs("mosquitto_sub")
def test_mosquittos_own_clients_provision_a_device(plant: House, claim: Held) -> None:
    """mosquitto_sub publishes nothing: mosquitto_rr subscribes to one topic and publishes to another."""
    _, from_csr, provision = topics()
    key, serial = generate(KeyAlgorithm.P256), f"s{next(_numbers)}"

    def request(topic: str, payload: str) -> Any:
        client_id, where = f"factory-{next(_numbers)}", f"{topic}/accepted"
        options = ("-V", "mqttv311", "-W", "20", "-e", where, "-t", topic, "-m", payload)
        return json.loads(mosquitto("mosquitto_rr", plant, (claim.chain_file, claim.key_file), client_id, *options))

    made = request(from_csr, json.dumps({"certificateSigningRequest": csr(key).decode()}))
    asked = {"certificateOwnershipToken": made["certificateOwnershipToken"], "parameters": {"Serial": serial}}
    assert request(provision, json.dumps(asked))["thingName"] == f"lamp-{serial}"
